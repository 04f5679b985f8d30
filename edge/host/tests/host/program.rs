//! The program itself: its one line, its help, its end.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::world::guest;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mediaflow-edge-host");

#[test]
fn help_tells_every_flag_and_where_secrets_belong() {
    let output = Command::new(PROGRAM).arg("--help").output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for word in [
        "--component",
        "--listen",
        "--kv",
        "--variable",
        "--allow-outbound",
    ] {
        assert!(text.contains(word), "{word} is missing in {text}");
    }
    assert!(text.contains("SPIN_VARIABLE_"), "{text}");
}

#[test]
fn a_component_that_is_not_there_is_named() {
    let output = Command::new(PROGRAM)
        .args(["--component", "/nowhere.wasm", "--kv", "/tmp"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("/nowhere.wasm"), "{text}");
}

#[test]
fn it_says_where_it_listens_and_stops_on_sigterm() {
    let Some(guest) = guest() else {
        eprintln!("skipped: program: the misbehaving guest could not be built");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(PROGRAM)
        .arg("--component")
        .arg(guest)
        .arg("--kv")
        .arg(folder.path())
        .args(["--listen", "127.0.0.1:0"])
        .env("SPIN_VARIABLE_EDGE_TOKEN", "from the environment")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["event"], "listening");
    let address: std::net::SocketAddr = event["addr"].as_str().unwrap().parse().unwrap();
    assert_eq!(answer(address, "/var?edge_token"), "from the environment");
    let pid = child.id().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > Duration::from_secs(15) {
            child.kill().unwrap();
            panic!("SIGTERM did not stop it");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "{status}");
}

fn answer(address: std::net::SocketAddr, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{text}");
    if !head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked")
    {
        return body.to_owned();
    }
    // One chunk: its length, its bytes, the end.
    let mut lines = body.split("\r\n");
    lines.nth(1).unwrap().to_owned()
}
