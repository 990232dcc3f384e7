//! What is mapped in a process.

use rustix::io::Errno;

use super::status::read_file;

/// A mapping of another process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// The first address.
    pub start: u64,
    /// The address after the last.
    pub end: u64,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// Whether it may be read.
    pub readable: bool,
    /// Whether changes are shared with others who map the file.
    pub shared: bool,
    /// The file's name as `/proc/PID/maps` shows it, `/memfd:NAME (deleted)` for shared segments.
    pub name: String,
}

/// The mappings of process `pid` whose name contains `part` (`/proc/PID/maps`).
///
/// # Errors
///
/// `ENOENT`, `ESRCH` if there is no such process; `EACCES` if the caller may not inspect it (ptrace(2)).
pub fn mappings(pid: u32, part: &str) -> Result<Vec<Mapping>, Errno> {
    let bytes = read_file(&format!("/proc/{pid}/maps"))?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().filter_map(parse).filter(|mapping| mapping.name.contains(part)).collect())
}

/// Reads a line: `start-end rwxp offset device inode   name`.
fn parse(line: &str) -> Option<Mapping> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let (rights, rest) = rest.split_once(' ')?;
    let (offset, rest) = rest.split_once(' ')?;
    let (_device, rest) = rest.split_once(' ')?;
    let name = rest.split_once(' ').map_or("", |(_inode, name)| name.trim_start());
    let hex = |digits| u64::from_str_radix(digits, 16).ok();
    Some(Mapping {
        start: hex(start)?,
        end: hex(end)?,
        offset: hex(offset)?,
        readable: rights.starts_with('r'),
        shared: rights.ends_with('s'),
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let line = "7f00-7fff rw-s 00001000 00:01 1027                       /memfd:wsd x (deleted)";
        let mapping = parse(line).expect("well formed");
        assert_eq!((mapping.start, mapping.end, mapping.offset), (0x7f00, 0x7fff, 0x1000));
        assert!(mapping.readable && mapping.shared);
        assert_eq!(mapping.name, "/memfd:wsd x (deleted)");
        assert_eq!(
            parse("7f00-7fff ---p 00000000 00:00 0 ").map(|mapping| mapping.name).as_deref(),
            Some("")
        );
        assert!(parse("nonsense").is_none());
    }

    #[test]
    fn own_code_is_mapped() {
        let own = mappings(std::process::id(), "wsd_os").expect("own process");
        let here = own_code_is_mapped as *const () as u64;
        assert!(own.iter().any(|mapping| mapping.readable && (mapping.start..mapping.end).contains(&here)));
    }
}
