//! PostgreSQL: a process for each connection, servers and clients of different users.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;
use wsd_programs::{
    Expected, Process, Program, Scene, User, find_beside, sha256, sha256_of, three_ways, until,
};

const VERSIONS: &str = "/usr/lib/postgresql";
/// Tells the server to end its connections and to stop in order.
const FAST: i32 = 2;
/// Short connections, one after another.
const SHORT: usize = 20;

fn tool(name: &str) -> Program {
    Program::at(&find_beside(VERSIONS, name)).env("LC_ALL", "C.UTF-8")
}

/// A client program, of a user who is not the server's.
fn client(scene: &Scene, name: &str, port: u16) -> Program {
    let address = scene.address().to_string();
    let database = ["-h", &address, "-U", "postgres", "-p"];
    tool(name).as_user(User::reachable("nobody")).args(database).arg(port).env("HOME", "/nonexistent")
}

struct Database {
    _server: Process,
    port: u16,
}

fn postgres(scene: &Scene) -> Database {
    let port = scene.port();
    let user = User::reachable("postgres");
    let data = scene.folder().join("data");
    std::fs::create_dir(&data).expect("a new folder");
    if let Some(user) = &user {
        std::os::unix::fs::chown(&data, Some(user.uid), Some(user.gid)).expect("root may");
    }
    let data = data.display().to_string();
    let made =
        tool("initdb").as_user(user.clone()).args(["-A", "trust", "-U", "postgres", "-N", "-D", &data]);
    scene.plain(&made).finish();
    // Without this only the loopback network may.
    let rules = OpenOptions::new().append(true).open(Path::new(&data).join("pg_hba.conf"));
    rules
        .and_then(|mut rules| writeln!(rules, "host all all samenet trust"))
        .expect("the new database's file");
    let server = tool("postgres").as_user(user).stopped_by(FAST).args(["-D", &data, "-p"]).arg(port);
    let listen = format!("listen_addresses={}", scene.address());
    let settings = [&listen, "unix_socket_directories=", "fsync=off", "shared_buffers=32MB"];
    let server = scene.server(&settings.iter().fold(server, |server, setting| server.args(["-c", setting])));
    until(Duration::from_secs(60), "the database", || server.log().contains("ready to accept").then_some(()));
    Database { _server: server, port }
}

fn pgbench_runs(scene: &Scene) {
    let database = postgres(scene);
    scene.client(&client(scene, "pgbench", database.port).args(["-i", "-s", "1", "-q", "postgres"])).finish();
    let watch = scene.watch(&[database.port]);
    let [unit, amount] = scene.amount(["-t", "200"], ["-T", "45"]);
    let run =
        client(scene, "pgbench", database.port).args(["-c", "8", "-j", "2", unit, amount, "-n", "postgres"]);
    let printed = scene.client(&run).finish_text();
    let seen = watch.stop();
    let number = |name: &str| -> u64 {
        let line = printed.lines().find_map(|line| line.strip_prefix(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {printed}"));
        line.trim().split(['/', ' ']).next().and_then(|digits| digits.parse().ok()).expect("a number")
    };
    let transactions = number("number of transactions actually processed:");
    assert!(transactions > scene.amount(100, 20), "{printed}");
    assert_eq!(number("number of failed transactions:"), 0, "{printed}");
    // A transaction is seven statements, and seven answers; 600 bytes are less than that.
    scene.judge(
        &seen,
        &Expected { connections: 8, busy: scene.amount(20_000, 5000), payload: transactions * 600 },
    );
}

fn psql_reads_what_it_wrote(scene: &Scene) {
    let database = postgres(scene);
    let psql = client(scene, "psql", database.port).args([
        "-X",
        "-q",
        "-A",
        "-t",
        "-v",
        "ON_ERROR_STOP=1",
        "postgres",
    ]);
    let rows: String = (0..200_000).map(|row| format!("{row}\tvalue {row}\n")).collect();
    let file = scene.folder().join("rows");
    std::fs::write(&file, &rows).expect("room for a file");
    scene.client(&psql.clone().args(["-c", "create table t (n int primary key, v text)"])).finish();
    scene.client(&psql.clone().args(["-c", "copy t from stdin"]).reading(&file)).finish();
    let watch = scene.watch(&[database.port]);
    let mut session = scene.client(&psql.clone().piped());
    let times = 20;
    let copy = "copy (select * from t order by n) to stdout;";
    let payload = (rows.len() * times) as u64;
    let mut output = session.take_output();
    session.tell(copy);
    let mut first = Vec::new();
    output.by_ref().take(rows.len() as u64).read_to_end(&mut first).expect("a pipe");
    // What the kernel carries shall be this, not what a busy machine makes of it.
    scene.await_promotion(database.port, 2, || ());
    for _ in 1..times {
        session.tell(copy);
    }
    let read =
        sha256_of(first.as_slice().chain(output.by_ref().take(payload - rows.len() as u64))).expect("a pipe");
    watch.settle();
    let seen = watch.stop();
    session.finish();
    assert_eq!(read, (sha256(rows.repeat(times).as_bytes()), payload));
    for _ in 0..SHORT {
        let sum = scene.client(&psql.clone().args(["-c", "select sum(n) from t"])).finish_text();
        assert_eq!(sum.trim(), (199_999_u64 * 100_000).to_string());
    }
    scene.judge(&seen, &Expected { connections: 1, busy: payload / 2, payload });
}

three_ways!(pgbench_runs, psql_reads_what_it_wrote);
