//! The binary as an operator meets it: start, stop, mistakes, client commands.

use mediaflow_shared::event::EventType;
use mediaflow_shared::id::ContentId;
use mediaflow_tests::{Origin, Reader, Setup, command, event, stories, until};
use serde_json::{Value, json};
use std::process::{Output, Stdio};
use std::time::Duration;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ok(what: &str, out: &Output) -> String {
    assert!(out.status.success(), "{what}: {}", text(&out.stderr));
    text(&out.stdout)
}

/// Twelve stories that are no near-duplicates.
async fn filled(origin: &Origin) {
    origin.import(&stories("r", 12)).await;
    Reader::new(origin).filled(12).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_it_finishes_and_what_it_took_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut origin = Origin::start(dir.path());
    filled(&origin).await;
    let ended = origin.stop(Duration::from_secs(15)).unwrap();
    assert!(ended.success(), "{ended} {}", origin.log());
    assert!(origin.log().contains("stopped"), "{}", origin.log());
    let origin = Origin::start(dir.path());
    Reader::new(&origin).filled(12).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_folder_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let _origin = Origin::start(dir.path());
    let second = Setup::default().command(dir.path()).output().unwrap();
    assert!(!second.status.success());
    let said = text(&second.stderr);
    let last = said.lines().last().unwrap();
    assert!(
        last.starts_with("error:") && last.contains("var/db") && last.contains("process"),
        "{said}"
    );
}

#[test]
fn a_missing_secret_is_named_with_its_remedy() {
    for name in [
        "MEDIAFLOW_READER_KEY",
        "MEDIAFLOW_EXPOSURE_KEY",
        "MEDIAFLOW_EDGE_TOKEN",
        "MEDIAFLOW_ADMIN_TOKENS",
        "MEDIAFLOW_TOKEN_KEYS",
        "MEDIAFLOW_LOGIN_KEY",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut serve = Setup::default().command(dir.path());
        let out = serve.env_remove(name).output().unwrap();
        let said = text(&out.stderr);
        assert!(!out.status.success(), "{name}");
        let last = said.lines().last().unwrap();
        assert!(
            last.contains(name) && (last.contains("mediaflow keys") || last.contains("set ")),
            "{said}"
        );
    }
}

#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup {
        config: "listen = \"127.0.0.1:0\"".into(),
        ..Setup::default()
    };
    let out = setup.command(dir.path()).output().unwrap();
    let said = text(&out.stderr);
    assert!(!out.status.success());
    assert!(
        said.contains("mediaflow.toml") && said.contains("[[brand]]"),
        "{said}"
    );
    let out = command(&["serve", "--config", "/nowhere/mediaflow.toml"])
        .output()
        .unwrap();
    assert!(text(&out.stderr).contains("/nowhere/mediaflow.toml"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feeds_are_shown_and_replayed_from_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start(dir.path());
    filled(&origin).await;
    let shown = ok("feed", &origin.client(&["feed", "daily", "--limit", "5"]));
    assert!(
        shown.contains("rung 2") && shown.matches("Headline").count() == 5,
        "{shown}"
    );
    let json = ok(
        "feed --json",
        &origin.client(&["feed", "daily", "home", "--limit", "5", "--json"]),
    );
    let feed: Value = serde_json::from_str(json.trim()).unwrap();
    let id = feed["_mediaflow"]["feed_id"].as_str().unwrap();
    let replayed = until("the replay", Duration::from_secs(10), || async {
        let out = origin.client(&["replay", id]);
        out.status.success().then_some(out)
    })
    .await;
    assert_eq!(text(&replayed.stdout).trim(), json.trim());
    assert!(text(&replayed.stderr).starts_with("identical"));
    let none = origin.client(&["feed", "nobody"]);
    assert!(!none.status.success());
    assert!(text(&none.stderr).contains("404") && text(&none.stderr).contains("nobody"));
    let none = origin.client(&["replay", "not-a-feed"]);
    assert!(!none.status.success() && text(&none.stderr).contains("feed_id"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_listed_shown_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start(dir.path());
    let good = event("good", EventType::View, ContentId(7), Some("ann"));
    let mut bad = serde_json::to_value(&good).unwrap();
    bad["id"] = json!("bad");
    bad["type"] = json!("org.mediaflow.stare.v1");
    // No edge vouches for this pseudonym.
    let mut forged = bad.clone();
    forged["id"] = json!("forged");
    forged.as_object_mut().unwrap().remove("readerid");
    forged["data"]["reader"] = json!("ab".repeat(16));
    let r = reqwest::Client::new()
        .post(format!("{}/v1/events", origin.url))
        .json(&json!([good, bad, forged]))
        .send()
        .await
        .unwrap();
    let report: Value = r.json().await.unwrap();
    assert_eq!(report["accepted"], 1, "{report}");
    assert_eq!(report["rejected"][0]["index"], 1, "{report}");
    let reason = report["rejected"][0]["reason"].as_str().unwrap().to_owned();

    let list = ok("list", &origin.client(&["dlq", "list"]));
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 2, "{list}");
    assert!(lines.iter().all(|l| l.contains(&reason)), "{list}");
    let ids = lines.iter().map(|l| l.split_whitespace().next().unwrap());
    let ids: Vec<&str> = ids.collect();
    for id in &ids {
        let show = ok("show", &origin.client(&["dlq", "show", id]));
        let show: Value = serde_json::from_str(&show).unwrap();
        let bytes = show["bytes"].as_str().unwrap();
        assert!(bytes.contains("org.mediaflow.stare.v1"), "{show}");
        assert!(!bytes.contains("\"ann\""), "no raw reader id: {show}");
        assert!(!bytes.contains("abababab"), "no reader by hearsay: {show}");
    }

    // Still wrong: the same refusal, and no more letters.
    for which in [ids[0], "all"] {
        let again = ok("replay", &origin.client(&["dlq", "replay", which]));
        let again: Value = serde_json::from_str(&again).unwrap();
        assert_eq!(again["accepted"], 0, "{again}");
        assert_eq!(again["rejected"][0]["reason"], reason.as_str(), "{again}");
    }
    let list = ok("list", &origin.client(&["dlq", "list"]));
    assert_eq!(
        list.lines().count(),
        2,
        "a replay makes no new letters: {list}"
    );
    let none = origin.client(&["dlq", "show", "0/99999"]);
    assert!(!none.status.success() && text(&none.stderr).contains("dlq list"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_rotation_of_keys_old_cookies_still_open() {
    let dir = tempfile::tempdir().unwrap();
    let mut origin = Origin::start(dir.path());
    filled(&origin).await;
    let reader = Reader::new(&origin);
    reader.consent().await;
    let id = ContentId::parse(&reader.feed("limit=5").await.ids()[0]).unwrap();
    reader
        .send(&[event("before", EventType::Read, id, None)])
        .await;
    assert!(origin.stop(Duration::from_secs(15)).is_some());

    let present = format!("1:{}", "11".repeat(32));
    let rotate = |keep: &str| {
        let out = command(&["keys", "rotate", "--present", &present, "--keep", keep])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let line = ok("keys rotate", &out);
        line.trim()
            .strip_prefix("MEDIAFLOW_TOKEN_KEYS=")
            .unwrap()
            .to_owned()
    };
    let keys = rotate("3");
    assert!(keys.ends_with(&present) && keys.len() > present.len());
    let with = |keys: String| Setup {
        variables: vec![("MEDIAFLOW_TOKEN_KEYS", keys)],
        ..Setup::default()
    };
    let mut origin = with(keys).start(dir.path());
    let same = reader.moved(&origin);
    same.filled(11).await;
    let f = same.feed("limit=100").await;
    assert_eq!(f.rung(), "0");
    assert!(!f.ids().contains(&id.to_string()), "the reading is known");
    assert_eq!(f.header("mediaflow-token"), "");
    assert!(origin.stop(Duration::from_secs(15)).is_some());

    // Only a new key: whoever has an older cookie starts anew, and gets a feed.
    let origin = with(rotate("1")).start(dir.path());
    let f = reader.moved(&origin).feed("limit=100").await;
    assert_eq!((f.status.as_u16(), f.rung()), (200, "2"));
    assert!(f.header("mediaflow-token").starts_with("refused"));
}

#[test]
fn help_names_every_command_and_its_defaults() {
    let top = ok("help", &command(&["--help"]).output().unwrap());
    for (line, defaults) in [
        (&["serve"][..], &["mediaflow.toml", "default: all"][..]),
        (
            &["import"],
            &["content", "events", "[default: http://127.0.0.1:8080]"],
        ),
        (&["import", "content"], &["[default: sources.toml]"]),
        (&["import", "events"], &["--mapping"]),
        (
            &["feed"],
            &["[default: http://127.0.0.1:8081]", "[default: home]"],
        ),
        (&["replay"], &["[default: http://127.0.0.1:8080]"]),
        (&["simulate"], &["[default: 42]"]),
        (&["simulate", "serve"], &["[default: 127.0.0.1:8090]"]),
        (&["simulate", "drive"], &["[default: 1000]"]),
        (&["keys"], &["new", "rotate", "admin"]),
        (&["keys", "rotate"], &["[default: 3]", "the environment's"]),
        (&["dlq"], &["list", "show", "replay"]),
        (&["dlq", "list"], &["[default: 50]"]),
    ] {
        assert!(top.contains(line[0]), "{top}");
        let args: Vec<&str> = line.iter().copied().chain(["--help"]).collect();
        let help = ok(&args.join(" "), &command(&args).output().unwrap());
        for d in defaults {
            assert!(help.contains(d), "{line:?} does not say {d}: {help}");
        }
    }
}
