//! Where a plan's events come from.

use crate::commands::import::marked;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};
use mediaflow_enrich::{Normalizer, Taxonomy};
use mediaflow_features::{ItemFacts, ProfileReplay};
use mediaflow_http::Secret;
use mediaflow_ingest::collector::pseudonym;
use mediaflow_ingest::import::events::{EventMapping, read as read_mapped};
use mediaflow_ports::{Record, StoredRecord};
use mediaflow_publisher::plan::{Plan, PlanSettings, Step, Tally};
use mediaflow_shared::content::Content;
use mediaflow_shared::event::{Event, EventData, EventType};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::time::Timestamp;
use mediaflow_simulator::World;
use mediaflow_simulator::raw::raw_item;
use mediaflow_simulator::readers::Facts;
use mediaflow_simulator::visits::visits;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

/// First day of simulated reading: 2026-11-16, a Monday.
const FIRST_DAY: u32 = 20_773;
/// Days of articles before it.
const DAYS_BEFORE: u32 = 3;

/// Folds events and hands them to the plan.
pub struct Replay {
    plan: Plan,
    folds: ProfileReplay,
    items: HashMap<ContentId, ItemFacts>,
    /// Readers only have to be told apart: no key is needed.
    key: Secret,
    /// Lines that are no event, and events a robot sent or that were there before.
    passed_over: u64,
}

impl Replay {
    pub fn new(settings: PlanSettings, articles: Vec<Content>) -> Result<Self> {
        let mut items = HashMap::new();
        for a in &articles {
            items.extend(ItemFacts::of_json(&serde_json::to_vec(a)?));
        }
        Ok(Self {
            plan: Plan::new(settings, articles),
            folds: ProfileReplay::default(),
            items,
            key: Secret::new([0; 32]),
            passed_over: 0,
        })
    }

    /// Takes the next event in; one that came through a collector has its reader as a pseudonym already. `device`: what
    /// tells it apart from the reader's others, when more is known of it than the event says.
    pub fn take(&mut self, mut event: Event, device: Option<u64>) -> Result<()> {
        if let (Some(id), None) = (event.readerid.take(), event.data.reader) {
            event.data.reader = Some(pseudonym(&self.key, &event.data.brand, &id));
        }
        let at = event.receivedtime.or(event.time).unwrap_or_default();
        let record = StoredRecord {
            offset: 0,
            appended_ms: at.0,
            record: Record::new("", serde_json::to_vec(&event)?),
        };
        let device = device.or_else(|| device_of(&event.data));
        let noted = matches!(
            event.kind,
            EventType::Read
                | EventType::Like
                | EventType::Hide
                | EventType::Mute
                | EventType::Unmute
        );
        let items = &self.items;
        let Some(r) = self.folds.fold(&record, |c| items.get(&c).copied()) else {
            self.passed_over += 1;
            return Ok(());
        };
        self.plan.step(&Step {
            at: r.at,
            brand: r.brand,
            reader: r.reader,
            content: r.content,
            click: r.click,
            came_from: r.came_from,
            forget: r.forget,
            blob: r.blob.map(Bytes::from),
            device,
            noted,
        });
        Ok(())
    }

    /// Takes a line of JSON in; one that is no event is counted.
    pub fn take_line(&mut self, line: &str) -> Result<()> {
        match serde_json::from_str(line) {
            Ok(event) => self.take(event, None),
            Err(_) => {
                self.passed_over += 1;
                Ok(())
            }
        }
    }

    pub fn finish(&self) -> Tally {
        if self.passed_over > 0 {
            eprintln!(
                "{} lines passed over: no event, a robot's, or there before",
                self.passed_over
            );
        }
        self.plan.finish()
    }
}

/// What ingest leaves of a user agent, or the sender's own word. Two like devices of a reader are one.
fn device_of(data: &EventData) -> Option<u64> {
    let parts = [&data.device, &data.os, &data.browser];
    parts.iter().any(|p| p.is_some()).then(|| {
        let text = parts.map(|p| p.as_deref().unwrap_or_default()).join("\n");
        xxh3_64(text.as_bytes())
    })
}

pub fn bar(total: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let template =
        format!("{{bar:30}} {{human_pos}}/{{human_len}} {what}  {{elapsed}} (left: {{eta}})");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}

/// Events of a file, in its order.
pub fn from_file(
    settings: PlanSettings,
    path: &Path,
    mapping: Option<&Path>,
    articles: Option<&Path>,
) -> Result<Tally> {
    let size = |p: &Path| {
        let m = std::fs::metadata(p).with_context(|| format!("{} cannot be read", p.display()))?;
        anyhow::Ok(m.len())
    };
    let mut replay = Replay::new(
        settings,
        articles.map(articles_of).transpose()?.unwrap_or_default(),
    )?;
    let bar = bar(size(path)?, "bytes");
    if let Some(mapping) = mapping {
        let text = std::fs::read_to_string(mapping)
            .with_context(|| format!("mapping {} cannot be read", mapping.display()))?;
        let mapping = EventMapping::parse(&text)?;
        let mut broken = None;
        read_mapped(path, &mapping, |row, at| {
            bar.set_position(at);
            let event = row.and_then(|(e, agent)| {
                let device = agent.as_deref().map(|a| xxh3_64(a.as_bytes()));
                let event = marked(e, agent.as_deref());
                Some((serde_json::from_value(event).ok()?, device))
            });
            match event {
                Some((event, device)) => {
                    broken = broken.take().or(replay.take(event, device).err())
                }
                None => replay.passed_over += 1,
            }
            Ok(())
        })?;
        if let Some(e) = broken {
            return Err(e);
        }
    } else {
        let mut at = 0;
        for line in BufReader::new(File::open(path)?).lines() {
            let line =
                line.with_context(|| format!("{}: not text; is it compressed?", path.display()))?;
            at += line.len() as u64 + 1;
            bar.set_position(at);
            replay.take_line(&line)?;
        }
    }
    bar.finish_and_clear();
    let tally = replay.finish();
    ensure!(
        tally.events > 0,
        "{} has no events; compare it with the mapping",
        path.display()
    );
    Ok(tally)
}

fn articles_of(path: &Path) -> Result<Vec<Content>> {
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| format!("{name} cannot be read"))?;
    articles_in(BufReader::new(file), &name)
}

/// Unified articles, one a line.
pub fn articles_in(lines: impl BufRead, name: &str) -> Result<Vec<Content>> {
    let mut all = Vec::new();
    for (i, line) in lines.lines().enumerate() {
        let line = line.with_context(|| format!("{name} cannot be read"))?;
        let article = serde_json::from_str(&line)
            .with_context(|| format!("{name}, line {}: is no unified article", i + 1))?;
        all.push(article);
    }
    Ok(all)
}

/// Readers of the simulated brands, who are shown what a fresh profile gives and do what their taste tells them.
pub fn simulated(settings: PlanSettings, readers: u64, seed: u64, days: u32) -> Result<Tally> {
    let world = World::days(seed, FIRST_DAY - DAYS_BEFORE, DAYS_BEFORE + days);
    let normalizer = Normalizer::new(Taxonomy::default());
    let mut facts = HashMap::new();
    let mut articles = Vec::new();
    let preparing = bar(world.items.len() as u64, "articles");
    for item in &world.items {
        preparing.inc(1);
        let Some(state) = item.state(item.published) else {
            continue;
        };
        let article =
            normalizer.normalize(&raw_item(item, state, "http://127.0.0.1", item.published));
        facts.insert(article.content_id, Facts::from(item));
        articles.push(article);
    }
    preparing.finish_and_clear();
    let mut replay = Replay::new(settings, articles)?;
    let mut clicked: HashMap<u64, HashSet<ContentId>> = HashMap::new();
    let all = visits(readers, seed, FIRST_DAY, days);
    let bar = bar(all.len() as u64, "visits");
    // Events of visits that overlap, by time; the number keeps those of one moment in order.
    let mut ahead: BinaryHeap<Reverse<(i64, u64)>> = BinaryHeap::new();
    let mut held: HashMap<u64, Event> = HashMap::new();
    let mut made = 0;
    for visit in &all {
        bar.inc(1);
        while let Some(Reverse((_, n))) = ahead.pop_if_before(visit.at) {
            if let Some(e) = held.remove(&n) {
                replay.take(e, None)?;
            }
        }
        replay.plan.advance(visit.at);
        let brand = mediaflow_simulator::brands::BRANDS[visit.brand].slug;
        let id = mediaflow_simulator::stream::reader_id(visit.reader);
        let reader = pseudonym(&replay.key, brand, &id);
        let page = replay.plan.feed(brand, Some(reader), 30);
        for event in visit.look(&page, &facts, clicked.entry(visit.reader).or_default()) {
            made += 1;
            ahead.push(Reverse((event.time.unwrap_or_default().0, made)));
            held.insert(made, event);
        }
    }
    while let Some(Reverse((_, n))) = ahead.pop() {
        if let Some(e) = held.remove(&n) {
            replay.take(e, None)?;
        }
    }
    bar.finish_and_clear();
    Ok(replay.finish())
}

/// The earliest entry, when it is before a moment.
trait PopBefore {
    fn pop_if_before(&mut self, at: Timestamp) -> Option<Reverse<(i64, u64)>>;
}

impl PopBefore for BinaryHeap<Reverse<(i64, u64)>> {
    fn pop_if_before(&mut self, at: Timestamp) -> Option<Reverse<(i64, u64)>> {
        self.peek()
            .is_some_and(|e| e.0.0 <= at.0)
            .then(|| self.pop())
            .flatten()
    }
}
