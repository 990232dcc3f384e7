//! What a process that gives a listener away tells the next one: for each name at which a provider was asked to listen the value of
//! WSPDuplicateSocket, the name and the provider; value 0 where it does not listen.

use std::net::SocketAddr;

pub(super) type Told = (u32, SocketAddr, String);

/// As text, a line for each.
pub(super) fn write(told: &[Told]) -> String {
    told.iter().map(|(value, asked, provider)| format!("{value} {asked} {provider}\n")).collect()
}

/// What was written; lines that are not as [`write`] makes them are left out, so that the providers are asked for those names.
pub(super) fn read(bytes: &[u8]) -> Vec<Told> {
    let line = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let value = words.next()?.parse().ok()?;
        Some((value, words.next()?.parse().ok()?, words.next()?.to_owned()))
    };
    std::str::from_utf8(bytes).unwrap_or_default().lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_as_they_went_in_and_rubbish_does_not() {
        let at = |text: &str| text.parse().expect("an address");
        let told = vec![
            (7, at("127.0.0.1:80"), "shm".to_owned()),
            (0, at("[::1]:65535"), "a name with blanks".to_owned()),
            (u32::MAX, at("[fe80::1%3]:1"), "x".to_owned()),
        ];
        assert_eq!(read(write(&told).as_bytes()), told);
        let rubbish = "\n7\n7 shm\nx 127.0.0.1:80 shm\n7 127.0.0.1 shm\n4294967296 127.0.0.1:80 shm\n";
        assert_eq!(read(rubbish.as_bytes()), []);
        assert_eq!(read(&[0xFF; 9]), []);
    }
}
