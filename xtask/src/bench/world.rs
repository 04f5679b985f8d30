//! A whole simulated publisher through the real interfaces: what importing it costs, how long a pin and a reading
//! take to a feed.
//!
//! Twelve brands' content systems serve two days of stories; the origin polls them, and its native edge and workerd
//! serve readers. A pin counts from before it is sent until each edge's feed shows it.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::edges::reader::set;
use super::events::Load;
use super::programs::{self, program};
use super::{Figure, Must, process};
use crate::bundle::{WORKERD_CONFIG, build_worker};
use crate::progress::Step;
use crate::up::config::{self, Configuration};
use crate::up::http::{Answer, send};
use crate::up::program::Program;
use crate::up::stack::Stack;
use crate::up::{Ports, secrets};
use crate::workspace::Workspace;

const MEMORY_MB: f64 = 512.0;
const PIN_S: f64 = 2.0;
const READING_S: f64 = 5.0;
const PINS: usize = 50;
const READINGS: usize = 8;
/// Readings while events of others come in, and how many of those a second, for how long: as long as the readings take.
const READINGS_LOADED: usize = 16;
const LOAD_S: f64 = 20_000.0;
const LOAD_FOR_S: f64 = 50.0;
/// Until caches are filled as they are under load.
const LOAD_BEFORE: Duration = Duration::from_secs(5);
/// Days of stories before today: some 2,000 a day.
const DAYS_BEFORE: &str = "2";
/// The sources have given everything when nothing new came for so long: every one is polled several times meanwhile.
const QUIET: Duration = Duration::from_secs(8);
const IMPORT_MAX: Duration = Duration::from_secs(180);
/// Between two looks at what is to change.
const LOOK: Duration = Duration::from_millis(10);
/// What did not show by then is a failure, not a slow figure.
const LOST: Duration = Duration::from_secs(20);

/// Imports, pins, reads.
pub fn measure(workspace: &Workspace, step: &Step) -> Result<Vec<Figure>> {
    programs::build(workspace, step)?;
    build_worker(workspace, step)?;
    let mut world = World::start(workspace)?;
    let mut figures = world.import()?;
    figures.extend(world.pins()?);
    figures.push(world.readings(READINGS, "", READING_S)?);
    figures.extend(world.readings_under_load(workspace)?);
    Ok(figures)
}

/// Everything that runs. Fields are dropped in order: the edges before the origin.
struct World {
    workerd: Program,
    origin: Program,
    _cms: Program,
    begun: Instant,
    variables: secrets::Variables,
    brand: String,
    origin_at: SocketAddr,
    native_at: SocketAddr,
    workerd_at: SocketAddr,
}

impl World {
    fn start(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.output("bench-world");
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        let log = |name: &str| -> PathBuf { folder.join("log").join(format!("{name}.log")) };
        let variables = secrets::load_or_create(&folder.join("dev.env"))?;
        let mediaflow = || program(workspace, "mediaflow");
        let mut command = mediaflow();
        command
            .args(["simulate", "serve", "--listen", "127.0.0.1:0"])
            .args(["--days-before", DAYS_BEFORE]);
        let mut cms = Program::start("the simulated publisher", command, log("cms"))?;
        let cms_at = cms.address("cms")?;
        let Configuration {
            file,
            edge_brands,
            brand,
        } = config::write(
            mediaflow(),
            &folder.join("data"),
            Ports::default(),
            cms_at,
            &Stack::default(),
        )?;

        let mut command = mediaflow();
        command
            .envs(&variables)
            .env(
                "MEDIAFLOW_WEBHOOK_SECRETS",
                config::webhook_secrets(mediaflow())?,
            )
            .env("MEDIAFLOW_SECURE_COOKIES", "false")
            .args(["serve", "--config"])
            .arg(&file);
        let begun = Instant::now();
        let mut origin = Program::start("the origin", command, log("origin"))?;
        let origin_at = origin.address("origin")?;
        let native_at = origin.address("edge")?;
        let kv = origin.address("kv")?;

        let mut command = Command::new(workspace.workerd()?);
        command
            .current_dir(&workspace.root)
            .envs(&variables)
            .env("MEDIAFLOW_ORIGIN", format!("http://{origin_at}"))
            .env("MEDIAFLOW_EDGE_ID", "workerd")
            .env("MEDIAFLOW_BRANDS", edge_brands)
            .env("MEDIAFLOW_SECURE_COOKIES", "false")
            .args(["serve", WORKERD_CONFIG, "--experimental"])
            .arg("--socket-addr=http=127.0.0.1:0")
            .arg(format!("--external-addr=kv={kv}"))
            .arg("--control-fd=1");
        let mut workerd = Program::start("workerd", command, log("workerd"))?;
        let workerd_at = workerd.address("http")?;
        Ok(Self {
            workerd,
            origin,
            _cms: cms,
            begun,
            variables,
            brand,
            origin_at,
            native_at,
            workerd_at,
        })
    }

    /// Waits until no source has anything new.
    fn import(&mut self) -> Result<Vec<Figure>> {
        let (mut items, mut last_new) = (0.0, Instant::now());
        while items == 0.0 || last_new.elapsed() < QUIET {
            thread::sleep(Duration::from_millis(100));
            self.origin.must_run()?;
            let now = self.enriched()?;
            if now > items {
                (items, last_new) = (now, Instant::now());
            }
            ensure!(
                self.begun.elapsed() < IMPORT_MAX,
                "the import did not end within {} s: {items} items",
                IMPORT_MAX.as_secs()
            );
        }
        let took_s = (last_new - self.begun).as_secs_f64();
        let (_, peak_mb) = process::resident_mb(self.origin.id())?;
        let cpu_s = process::cpu_s(self.origin.id())?;
        Ok(vec![
            Figure::new(
                "import of the sample world through its content systems: items",
                items,
                "",
                Must::AtLeast(4000.0),
            ),
            Figure::new("the same: time", took_s, "s", Must::Nothing),
            Figure::new(
                "the same: CPU of the origin an item",
                cpu_s * 1e6 / items,
                "µs",
                Must::Nothing,
            ),
            Figure::new(
                "the same: memory of the origin at its highest",
                peak_mb,
                "MB",
                Must::AtMost(MEMORY_MB),
            ),
        ])
    }

    /// Articles that are ready for fronts.
    fn enriched(&self) -> Result<f64> {
        let text = send(self.origin_at, "GET", "/metrics", &[], b"")?
            .expect("the metrics", &[200])?
            .text();
        Ok(text
            .lines()
            .filter(|line| line.contains("enrich_items_total") && line.contains("\"written\""))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// Pins stories from the end of the feed, one after the other, and watches both edges.
    fn pins(&mut self) -> Result<Vec<Figure>> {
        for edge in [self.native_at, self.workerd_at] {
            eventually(
                "a full feed",
                || Ok(ids(&self.feed(edge, "")?).len() == 100),
            )?;
        }
        let mut candidates = ids(&self.feed(self.native_at, "")?);
        candidates.reverse();
        ensure!(
            candidates.len() >= PINS,
            "the feed has too few stories to pin"
        );
        let (mut native_s, mut workerd_s) = (Vec::new(), Vec::new());
        for (n, id) in candidates.iter().take(PINS).enumerate() {
            let begun = Instant::now();
            self.pin(id, n)?;
            let (mut native, mut workerd) = (None, None);
            while native.is_none() || workerd.is_none() {
                for (edge, seen) in [
                    (self.native_at, &mut native),
                    (self.workerd_at, &mut workerd),
                ] {
                    if seen.is_none() && self.feed_shows_pin(edge, id)? {
                        *seen = Some(begun.elapsed().as_secs_f64());
                    }
                }
                ensure!(begun.elapsed() < LOST, "pin {n} of {id} did not show");
                thread::sleep(LOOK);
            }
            native_s.extend(native);
            workerd_s.extend(workerd);
        }
        self.workerd.must_run()?;
        let mut figures = Vec::new();
        for (name, mut s) in [("native edge", native_s), ("worker in workerd", workerd_s)] {
            s.sort_by(f64::total_cmp);
            figures.push(Figure::new(
                format!("pin published to feed, {name}: p50 of {PINS}"),
                at(&s, 0.5),
                "s",
                Must::Nothing,
            ));
            figures.push(Figure::new(
                format!("pin published to feed, {name}: p99"),
                at(&s, 0.99),
                "s",
                Must::AtMost(PIN_S),
            ));
        }
        Ok(figures)
    }

    fn pin(&self, id: &str, n: usize) -> Result<()> {
        let path = format!(
            "/admin/v1/brands/{}/surfaces/{}/pins",
            self.brand,
            config::SURFACE
        );
        // A slot of its own each: an occupied one would only push the older pin down.
        let body = json!({ "content_id": id, "slot": n, "ttl_min": 60 }).to_string();
        let bearer = format!("Bearer {}", self.variables[secrets::ADMIN_TOKEN]);
        send(
            self.origin_at,
            "POST",
            &path,
            &[
                ("authorization", &bearer),
                ("content-type", "application/json"),
            ],
            body.as_bytes(),
        )?
        .expect("the pin", &[200, 201])
        .map(drop)
    }

    fn feed_shows_pin(&self, edge: SocketAddr, id: &str) -> Result<bool> {
        let feed = self.feed(edge, "")?;
        let items = feed["items"].as_array().into_iter().flatten();
        Ok(items
            .filter(|item| item["id"] == id)
            .any(|item| item["_mediaflow"]["pinned"] == json!(true)))
    }

    /// A reader reads on one device; how long until a device that logs in as the same reader hides the story.
    fn readings(&self, readings: usize, when: &str, must_s: f64) -> Result<Figure> {
        let mut took_s = Vec::new();
        for n in 0..readings {
            let reader = format!("bench-reader-{n}{when}");
            let phone = self.device(&reader)?;
            // The pins stand first, and a pin is shown although it was read.
            let feed = self.feed(self.native_at, &phone)?;
            let items = feed["items"].as_array().cloned().unwrap_or_default();
            let id = items
                .iter()
                .find(|item| item["_mediaflow"]["pinned"] != json!(true))
                .and_then(|item| item["id"].as_str())
                .context("the feed is full of pins")?;
            let event = json!([{
                "specversion": "1.0",
                "id": format!("bench-read-{n}{when}"),
                "source": "/bench",
                "type": "org.mediaflow.read.v1",
                "data": { "brand": self.brand, "surface": config::SURFACE, "content_id": id, "dwell_s": 60 },
            }]);
            let begun = Instant::now();
            self.post(
                "/v1/events",
                "application/cloudevents-batch+json",
                &phone,
                &event,
            )?
            .expect("the reading", &[202])?;
            eventually("the reading on another device", || {
                let tablet = self.device(&reader)?;
                Ok(!ids(&self.feed(self.native_at, &tablet)?).contains(&id.to_owned()))
            })?;
            took_s.push(begun.elapsed().as_secs_f64());
        }
        took_s.sort_by(f64::total_cmp);
        Ok(Figure::new(
            format!(
                "reading to the feed of the reader's other device{when}: slowest of {readings}"
            ),
            at(&took_s, 1.0),
            "s",
            Must::AtMost(must_s),
        ))
    }

    /// The same while other readers' events come in.
    fn readings_under_load(&self, workspace: &Workspace) -> Result<Vec<Figure>> {
        let load = Load {
            rate: LOAD_S,
            seconds: LOAD_FOR_S,
            brand: self.brand.clone(),
            ..Load::default()
        };
        let to = self.origin_at;
        thread::scope(|scope| {
            let loading = scope.spawn(move || load.run(workspace, to));
            thread::sleep(LOAD_BEFORE);
            let reading = self.readings(READINGS_LOADED, ", at 20,000 events/s", READING_S);
            let told = loading.join().ok().context("the load ended early")??;
            Ok(vec![
                reading?,
                Figure::new(
                    "the same: events acknowledged meanwhile",
                    told.number("rate")?,
                    "1/s",
                    Must::AtLeast(LOAD_S * 0.98),
                ),
            ])
        })
    }

    /// The cookie of a new device on which this reader consents and logs in.
    fn device(&self, reader: &str) -> Result<String> {
        let json_type = "application/json";
        let path = format!("/v1/me?brand={}", self.brand);
        let consent = json!({ "action": "consent_on" });
        let answer = self
            .post(&path, json_type, "", &consent)?
            .expect("consent", &[200, 204])?;
        let cookie = set(&answer).context("consent was given, but no cookie was set")?;
        let link = json!({ "action": "link", "assertion": self.assertion(reader)? });
        let answer = self
            .post(&path, json_type, &cookie, &link)?
            .expect("the login", &[200, 204])?;
        set(&answer).context("the login was taken, but no cookie was set")
    }

    /// What a publisher's login signs: base64url(id) "." expiry "." base64url(HMAC-SHA256[..16]).
    fn assertion(&self, reader: &str) -> Result<String> {
        let key = &self.variables["MEDIAFLOW_LOGIN_KEY"];
        let key = (0..key.len() / 2)
            .map(|i| u8::from_str_radix(&key[2 * i..2 * i + 2], 16))
            .collect::<Result<Vec<u8>, _>>()?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let said = format!("{}.{}", URL_SAFE_NO_PAD.encode(reader), now.as_secs() + 600);
        let mut mac = Hmac::<Sha256>::new_from_slice(&key)?;
        mac.update(said.as_bytes());
        let signature = mac.finalize().into_bytes();
        Ok(format!(
            "{said}.{}",
            URL_SAFE_NO_PAD.encode(&signature[..16])
        ))
    }

    fn post(&self, path: &str, kind: &str, cookie: &str, body: &Value) -> Result<Answer> {
        let headers = [("content-type", kind), ("cookie", cookie)];
        let headers = if cookie.is_empty() {
            &headers[..1]
        } else {
            &headers
        };
        send(
            self.native_at,
            "POST",
            path,
            headers,
            body.to_string().as_bytes(),
        )
    }

    fn feed(&self, edge: SocketAddr, cookie: &str) -> Result<Value> {
        let path = format!("/v1/feed/{}/{}?limit=100", self.brand, config::SURFACE);
        send(edge, "GET", &path, &[("cookie", cookie)], b"")?
            .expect("the feed", &[200])?
            .json()
    }
}

fn ids(feed: &Value) -> Vec<String> {
    feed["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item["id"].as_str().map(str::to_owned))
        .collect()
}

fn eventually(what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !done().with_context(|| what.to_owned())? {
        ensure!(
            begun.elapsed() < LOST,
            "{what} was not there within {} s",
            LOST.as_secs()
        );
        thread::sleep(LOOK);
    }
    Ok(())
}

/// The value below which a part of the sorted values lies; the slowest counts in small samples.
fn at(sorted: &[f64], part: f64) -> f64 {
    let index = (sorted.len() as f64 * part).ceil() as usize;
    sorted
        .get(index.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_of_fifty_is_their_99th_percentile() {
        let sorted: Vec<f64> = (1..=50).map(f64::from).collect();
        assert_eq!((at(&sorted, 0.5), at(&sorted, 0.99)), (25.0, 50.0));
    }
}
