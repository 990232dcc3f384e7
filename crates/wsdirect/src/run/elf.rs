//! Reads from a program's ELF header whether the dynamic loader will see it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linkage {
    /// Names a dynamic loader, which loads the switch.
    Dynamic,
    /// Names none.
    Static,
    /// For another processor than this command's, and so the switch's.
    OtherMachine,
    NotElf,
}

pub(crate) fn linkage(path: &Path) -> io::Result<Linkage> {
    let file = File::open(path)?;
    let Some(header) = read::<64>(&file, 0) else {
        return Ok(Linkage::NotElf);
    };
    if !header.starts_with(b"\x7fELF") {
        return Ok(Linkage::NotElf);
    }
    let own = File::open("/proc/self/exe").ok().and_then(|own| read::<64>(&own, 0));
    // Class, byte order and machine.
    if own.is_some_and(|own| own[4..6] != header[4..6] || own[18..20] != header[18..20]) {
        return Ok(Linkage::OtherMachine);
    }
    Ok(if has_interpreter(&file, &header) { Linkage::Dynamic } else { Linkage::Static })
}

const PT_INTERP: u32 = 3;

/// Of a header of this machine's own class and byte order; 64 bits wide, as the switch is.
fn has_interpreter(file: &File, header: &[u8; 64]) -> bool {
    let number = |at: usize, width: usize| {
        let mut bytes = [0u8; 8];
        bytes[..width].copy_from_slice(&header[at..at + width]);
        u64::from_le_bytes(bytes)
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count)
        .map_while(|index| read::<4>(file, table.checked_add(index * size)?))
        .any(|kind| u32::from_le_bytes(kind) == PT_INTERP)
}

fn read<const N: usize>(file: &File, at: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, at).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_dynamic() {
        let own = std::env::current_exe().expect("the test's own path");
        assert_eq!(linkage(&own).expect("readable"), Linkage::Dynamic);
    }

    #[test]
    fn without_interpreter_it_is_static() {
        let own = std::env::current_exe().expect("the test's own path");
        let mut bytes = std::fs::read(own).expect("readable");
        let (table, size, count) = (64, 56, usize::from(bytes[56]));
        for index in 0..count {
            let kind = &mut bytes[table + index * size..][..4];
            if kind == PT_INTERP.to_le_bytes() {
                kind.fill(0);
            }
        }
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), bytes).expect("written");
        assert_eq!(linkage(file.path()).expect("readable"), Linkage::Static);
    }

    #[test]
    fn short_and_foreign_files_are_told_apart() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        assert_eq!(linkage(file.path()).expect("readable"), Linkage::NotElf);
        let mut header = [0u8; 64];
        header[..4].copy_from_slice(b"\x7fELF");
        header[4] = 1;
        std::fs::write(file.path(), header).expect("written");
        assert_eq!(linkage(file.path()).expect("readable"), Linkage::OtherMachine);
    }
}
