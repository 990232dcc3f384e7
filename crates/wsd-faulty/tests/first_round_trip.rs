//! What a SAN that cannot be reached costs a connection's beginning, by TCP first: nothing. Connect, accept and the first round trip
//! make the same system calls as without the switch, counted one by one; so neither waits for anybody either. With one exception,
//! whatever the provider: a new descriptor is entered in the tables of this process only, so accept makes sure whose it is.

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::built::{provider, wsdirect};
use support::{End, script};

/// How an end runs.
#[derive(Clone, Copy)]
enum Under<'a> {
    /// Plain TCP.
    Nothing,
    /// The switch, with a provider that has these faults.
    Switch(&'a str),
}

/// An end of the play, its system calls recorded.
fn end(under: Under<'_>, config: &Path, arguments: &[&str]) -> End {
    let mut run = Command::new("python3");
    run.arg(script("syscalls.py"));
    if let Under::Switch(faults) = under {
        let command = wsdirect();
        run.arg(&command).args(["run", "--provider"]).arg(provider(&command));
        run.arg("--config").arg(config).arg("--").env("WSD_FAULTY", faults);
    }
    run.arg("python3").arg(script("first.py")).args(arguments);
    End::spawn(&mut run)
}

/// The system calls that both ends made at the beginning: accept and answer, connect and ask.
fn calls(server: Under<'_>, client: Under<'_>) -> [Vec<u64>; 2] {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("wsdirect.toml");
    std::fs::write(&config, "networks = [\"127.0.0.0/8\"]\n").expect("a file");
    let server = end(server, &config, &["server"]);
    let port = server.told()["port"].as_u64().expect("it listens").to_string();
    let client = end(client, &config, &["client", &port]);
    [server, client].map(|mut end| {
        let told = end.told();
        assert_eq!(told["status"], 0, "{told}");
        end.ends();
        let calls: Vec<u64> =
            told["calls"].as_array().expect("a list").iter().filter_map(Value::as_u64).collect();
        assert!(calls.len() >= 3, "accept or connect, and two more: {calls:?}");
        calls
    })
}

/// Requests that are refused, at once and late; that nobody answers; a peer without the switch; a provider that is not there.
#[test]
fn makes_the_same_system_calls_as_tcp() {
    let plain = calls(Under::Nothing, Under::Nothing);
    let [mut serve, ask] = plain.clone();
    serve.insert(1, libc::SYS_getpid as u64);
    let switched_both = [serve.clone(), ask.clone()];
    let faults = [
        "plain,no-link,connect-fails=10061",
        "plain,no-link,connect-told=10060",
        "connect-silent",
        "fail-startup",
    ];
    for faults in faults {
        let switched = Under::Switch(faults);
        assert_eq!(calls(switched, switched), switched_both, "{faults}");
    }
    let switched = Under::Switch("plain,no-link");
    assert_eq!(calls(switched, Under::Nothing), [serve, ask], "a client without the switch");
    assert_eq!(calls(Under::Nothing, switched), plain, "a server without the switch");
    assert_eq!(calls(switched, switched), switched_both, "both reached");
}
