//! Macros that define structures and constants together with the tables that the header test reads.

/// Defines `repr(C)` structures, asserts their sizes and offsets, and lists them in a table.
macro_rules! structures {
    (
        $(#[$table_meta:meta])* table $table:ident;
        $(
            $(#[$meta:meta])*
            struct $name:ident = $size:literal {
                $( $(#[$field_meta:meta])* $field:ident: $type:ty = $offset:literal, )*
            }
        )*
    ) => {
        $(
            $(#[$meta])*
            #[repr(C)]
            #[derive(Clone, Copy)]
            pub struct $name {
                $( $(#[$field_meta])* pub $field: $type, )*
            }

            const _: () = {
                assert!(size_of::<$name>() == $size);
                $( assert!(::core::mem::offset_of!($name, $field) == $offset); )*
            };
        )*

        $(#[$table_meta])*
        pub const $table: &[$crate::ffi::Layout] = &[
            $( $crate::ffi::Layout {
                name: stringify!($name),
                size: $size,
                fields: &[ $( (stringify!($field), $offset), )* ],
            }, )*
        ];
    };
}

/// Defines constants and lists them in a table, with `$prefix` before the name in C.
macro_rules! constants {
    (
        $(#[$table_meta:meta])* table $table:ident prefix $prefix:literal;
        $( $(#[$meta:meta])* $name:ident: $type:ty = $value:expr; )*
    ) => {
        $( $(#[$meta])* pub const $name: $type = $value; )*

        $(#[$table_meta])*
        pub const $table: &[$crate::ffi::Constant] = &[
            $( $crate::ffi::Constant {
                name: stringify!($name),
                c_name: concat!($prefix, stringify!($name)),
                value: $name as i64,
            }, )*
        ];
    };
}

pub(super) use constants;
pub(super) use structures;
