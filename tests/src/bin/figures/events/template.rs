//! One request as bytes, in which only what differs from the last one is written anew.

use mediaflow_shared::id::ContentId;
use mediaflow_shared::time::Timestamp;
use std::io::{self, Write};

/// Kinds by their share in hundredths: what a news site's page sends.
const KINDS: [(&str, u32, &str); 9] = [
    ("impression", 44, r#","slot":3,"feed_id":"f1.b7.r3.m2.c27""#),
    ("view", 14, r#","referrer":"search""#),
    ("read", 16, r#","dwell_s":41.5,"slot":3"#),
    ("click", 12, r#","slot":3,"feed_id":"f1.b7.r3.m2.c27""#),
    (
        "video_progress",
        5,
        r#","position_s":61.5,"duration_s":184.0"#,
    ),
    ("like", 2, ""),
    ("share", 1, ""),
    ("rating", 1, r#","rating":4.0"#),
    (
        "ad_impression",
        5,
        r#","ad_id":"ad-000017","campaign_id":"c-9","placement":"top""#,
    ),
];

const DEVICES: [&str; 3] = ["mobile", "desktop", "tablet"];
const COUNTRIES: [&str; 4] = ["DE", "FR", "PL", "IT"];

/// Who reads, and what.
pub struct Population {
    readers: u32,
    uniform: bool,
    /// As text, for copying; the ids of stories of the simulated publisher.
    items: Vec<[u8; 16]>,
}

impl Population {
    pub fn new(readers: u32, uniform: bool, items: usize) -> Self {
        let id = |n: usize| {
            let text = ContentId::of("wp-daily", &format!("story-{n}")).to_string();
            let mut out = [b'0'; 16];
            out.copy_from_slice(text.as_bytes());
            out
        };
        Self {
            readers: readers.max(1),
            uniform,
            items: (0..items.max(1)).map(id).collect(),
        }
    }

    fn reader(&self, random: u64) -> u32 {
        let part = (random >> 11) as f64 / (1u64 << 53) as f64;
        let n = f64::from(self.readers);
        // Zipf's law with exponent 1, by its inverse.
        let rank = if self.uniform {
            part * n
        } else {
            n.powf(part) - 1.0
        };
        (rank as u32).min(self.readers - 1)
    }

    fn item(&self, random: u64) -> usize {
        let part = (random >> 11) as f64 / (1u64 << 53) as f64;
        let rank = (self.items.len() as f64).powf(part) - 1.0;
        (rank as usize).min(self.items.len() - 1)
    }
}

/// Where in the request the parts of one event are.
struct Places {
    kind: &'static str,
    id: usize,
    time: usize,
    subject: usize,
    reader: usize,
    session: usize,
    content: usize,
}

/// The bytes of one request.
pub struct Template {
    bytes: Vec<u8>,
    head_bytes: usize,
    places: Vec<Places>,
    seed: u64,
    time_ms: i64,
}

impl Template {
    /// A request of `batch` events; `number` makes it differ from other connections' in kinds.
    pub fn new(host: &str, brand: &str, batch: usize, seed: u64, number: u64) -> Self {
        let mut body = vec![b'['];
        let mut places = Vec::with_capacity(batch);
        for n in 0..batch {
            if n > 0 {
                body.push(b',');
            }
            places.push(event(
                &mut body,
                brand,
                seed as u32,
                mix(seed ^ (number << 32) ^ n as u64),
            ));
        }
        body.push(b']');
        let mut bytes = format!(
            "POST /v1/events HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/cloudevents-batch+json\r\n\
             user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        let head_bytes = bytes.len();
        for p in &mut places {
            for at in [
                &mut p.id,
                &mut p.time,
                &mut p.subject,
                &mut p.reader,
                &mut p.session,
                &mut p.content,
            ] {
                *at += head_bytes;
            }
        }
        bytes.extend_from_slice(&body);
        Self {
            bytes,
            head_bytes,
            places,
            seed,
            time_ms: 0,
        }
    }

    pub fn request(&self) -> &[u8] {
        &self.bytes
    }

    pub fn body_bytes(&self) -> usize {
        self.bytes.len() - self.head_bytes
    }

    pub fn events(&self) -> usize {
        self.places.len()
    }

    /// Makes it the request of the events `first` and on, happening now.
    pub fn fill(&mut self, population: &Population, first: u64) {
        self.time_ms = mediaflow_tests::now_ms();
        let time = rfc3339(self.time_ms);
        for (n, p) in self.places.iter().enumerate() {
            let number = first + n as u64;
            let random = mix(self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            hex(&mut self.bytes[p.id..p.id + 16], number);
            self.bytes[p.time..p.time + 24].copy_from_slice(&time);
            let reader = population.reader(random);
            decimal(&mut self.bytes[p.reader..p.reader + 8], reader);
            decimal(&mut self.bytes[p.session..p.session + 8], reader);
            let item = &population.items[population.item(mix(random))];
            self.bytes[p.subject..p.subject + 16].copy_from_slice(item);
            self.bytes[p.content..p.content + 16].copy_from_slice(item);
        }
    }

    /// `id,kind,reader,content,time_ms` of every event.
    pub fn lines(&self, out: &mut impl Write) -> io::Result<()> {
        for p in &self.places {
            out.write_all(&self.bytes[p.id - 9..p.id + 16])?;
            write!(out, ",{},", p.kind)?;
            out.write_all(&self.bytes[p.reader - 2..p.reader + 8])?;
            out.write_all(b",")?;
            out.write_all(&self.bytes[p.content..p.content + 16])?;
            writeln!(out, ",{}", self.time_ms)?;
        }
        Ok(())
    }
}

/// Appends one event; all that changes has a fixed width.
fn event(body: &mut Vec<u8>, brand: &str, run: u32, random: u64) -> Places {
    let mut share = (random % 100) as u32;
    let (kind, _, more) = KINDS
        .iter()
        .find(|(_, part, _)| {
            let here = share < *part;
            share = share.saturating_sub(*part);
            here
        })
        .unwrap_or(&KINDS[0]);
    let device = DEVICES[(random >> 8) as usize % DEVICES.len()];
    let country = COUNTRIES[(random >> 16) as usize % COUNTRIES.len()];
    let mut put = |text: &str| {
        body.extend_from_slice(text.as_bytes());
        body.len()
    };
    // The run is a part of the id, so that a second run does not send the first one's.
    let id = put(&format!(r#"{{"specversion":"1.0","id":"{run:08x}-"#));
    let time = put(&format!(
        r#"0000000000000000","source":"https://daily.example/web","type":"org.mediaflow.{kind}.v1","time":""#
    ));
    let subject = put(r#"2026-11-21T08:00:00.000Z","subject":""#);
    let reader = put(r#"0000000000000000","readerid":"r-"#);
    let session = put(&format!(
        r#"00000000","data":{{"brand":"{brand}","surface":"home","session":"s-"#
    ));
    let content = put(r#"00000000","content_id":""#);
    put(&format!(
        r#"0000000000000000"{more},"device":"{device}","country":"{country}"}}}}"#
    ));
    Places {
        kind,
        id,
        time,
        subject,
        reader,
        session,
        content,
    }
}

/// SplitMix64's finaliser.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn hex(out: &mut [u8], number: u64) {
    for (place, digit) in out.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (60 - 4 * place)) as usize & 15];
    }
}

fn decimal(out: &mut [u8], mut number: u32) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn rfc3339(ms: i64) -> [u8; 24] {
    // A whole second is written without its fraction.
    let text = Timestamp(ms - ms % 1000).to_string();
    let mut out = *b"2026-11-21T08:00:00.000Z";
    out[..19].copy_from_slice(&text.as_bytes()[..19]);
    decimal(&mut out[20..23], (ms % 1000) as u32);
    out
}
