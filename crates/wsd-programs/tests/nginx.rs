//! nginx with two workers of their own user, read by curl and wrk.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use wsd_programs::{
    Expected, Process, Program, RandomStream, Scene, User, copy_hashed, sha256, sha256_of, three_ways,
    wait_listening,
};

/// Lengths of the files.
const BIG: u64 = 100_000_000;
const SMALL: u64 = 1000;
const TERM: i32 = 15;

/// A server of one big file, which it sends by sendfile or copies itself, and one small file.
struct Site {
    _server: Process,
    address: SocketAddr,
    /// Hashes of their contents.
    big: String,
    small: String,
}

fn nginx(scene: &Scene) -> Site {
    let address = SocketAddr::new(scene.address(), scene.port());
    let folder = scene.folder();
    let files = folder.join("files");
    std::fs::create_dir(&files).expect("a new folder");
    let big = write(&files.join("big"), u64::from(address.port()), BIG);
    let small = write(&files.join("small"), 7, SMALL);
    let configuration = folder.join("nginx.conf");
    std::fs::write(&configuration, configure(folder, address)).expect("room for a file");
    let server = Program::named("nginx").stopped_by(TERM);
    let server =
        server.arg("-c").arg(configuration.display()).arg("-e").arg(folder.join("error.log").display());
    let server = scene.server(&server);
    wait_listening(address.port());
    Site { _server: server, address, big, small }
}

fn write(path: &Path, seed: u64, length: u64) -> String {
    let file = std::fs::File::create(path).expect("a new file");
    file.set_permissions(std::fs::Permissions::from_mode(0o644)).expect("our own file");
    copy_hashed(RandomStream::new(seed, length), file).expect("room for a file").0
}

fn configure(folder: &Path, address: SocketAddr) -> String {
    let folder = folder.display();
    let user = User::reachable("www-data").map_or_else(String::new, |user| format!("user {};", user.name));
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {folder}/{kind};\n"))
        .collect();
    format!(
        "{user} worker_processes 2; daemon off; pid {folder}/nginx.pid;
         events {{ worker_connections 1024; }}
         http {{
             access_log off; keepalive_requests 10000000; {temporary}
             server {{
                 listen {address};
                 location / {{ root {folder}/files; sendfile on; }}
                 location /copied/ {{ alias {folder}/files/; sendfile off; }}
             }}
         }}"
    )
}

/// The big file six times over one connection, with and without sendfile; then the small one.
fn curl_gets_files(scene: &Scene, user: Option<User>) {
    let site = nginx(scene);
    let base = format!("http://{}", site.address);
    let curl = Program::named("curl").args(["-sS", "--fail", "--noproxy", "*"]).piped().as_user(user);
    let watch = scene.watch(&[site.address.port()]);
    let rounds: u64 = scene.amount(6, 2);
    let urls = (0..rounds)
        .map(|round| if round % 2 == 0 { format!("{base}/big") } else { format!("{base}/copied/big") });
    let mut client = scene.client(&curl.clone().args(urls));
    let mut output = client.take_output();
    for round in 0..rounds {
        if round == 0 || round + 1 == rounds {
            // What is sent does not fit into the pipe, so that the client waits: at first until the connection is
            // promoted, or the kernel would carry whatever goes until then; at last until what it carried is seen.
            watch.settle();
        }
        let body = std::io::Read::take(&mut output, BIG);
        assert_eq!(sha256_of(body).expect("a pipe"), (site.big.clone(), BIG), "round {round}");
    }
    client.finish();
    let seen = watch.stop();
    let small = scene.client(&curl.arg(format!("{base}/small"))).finish();
    assert_eq!(sha256(&small), site.small);
    scene.judge(&seen, &Expected { connections: 1, busy: BIG, payload: (rounds - 1) * BIG });
}

/// Fifty clients for four seconds.
fn wrk_gets_small_files(scene: &Scene, user: Option<User>) {
    let site = nginx(scene);
    let url = format!("http://{}/small", site.address);
    let watch = scene.watch(&[site.address.port()]);
    let wrk = Program::named("wrk").args(["-t2", "-c50", "-d4s"]).arg(url).as_user(user);
    let printed = scene.client(&wrk).finish_text();
    let seen = watch.stop();
    assert!(!printed.contains("Socket errors") && !printed.contains("Non-2xx"), "{printed}");
    let requests =
        printed.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse::<u64>().ok());
    let requests = requests.unwrap_or_else(|| panic!("no count in {printed}"));
    assert!(requests > 1000, "{printed}");
    scene.judge(&seen, &Expected { connections: 50, busy: 100 * SMALL, payload: requests * SMALL });
}

fn curl_gets_equal_files(scene: &Scene) {
    curl_gets_files(scene, None);
}

fn wrk_gets_answers(scene: &Scene) {
    wrk_gets_small_files(scene, None);
}

/// The client's user is neither root nor the workers'.
fn curl_as_another_user(scene: &Scene) {
    curl_gets_files(scene, User::reachable("nobody"));
}

/// The client's user is neither root nor the workers'.
fn wrk_as_another_user(scene: &Scene) {
    wrk_gets_small_files(scene, User::reachable("nobody"));
}

three_ways!(curl_gets_equal_files, wrk_gets_answers, curl_as_another_user, wrk_as_another_user);
