//! A request as JavaScript writes it.

use mediaflow_shared::model::Q16;
use mediaflow_shared::served::{self, Context};
use mediaflow_shared::topics::{self, TOPICS};
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

/// Device classes.
#[wasm_bindgen]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// Not told.
    Other = 0,
    /// Phone.
    Mobile = 1,
    /// Desktop or laptop.
    Desktop = 2,
    /// Tablet.
    Tablet = 3,
    /// Television.
    Tv = 4,
}

/// Policies.
#[wasm_bindgen]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The default ranker.
    Personal = 0,
    /// Newest first.
    Editorial = 1,
    /// The classic three-term score.
    Classic = 2,
}

/// What to rank: how many items, from where, for which context.
#[wasm_bindgen]
#[derive(Debug, Clone)]
pub struct RankRequest {
    /// Items wanted.
    pub limit: u16,
    /// Items to pass over.
    pub offset: u16,
    /// Seed of the exploration slot.
    pub seed: u64,
    /// Whether contributions are written.
    pub explain: bool,
    /// Weight of what is known about the reader, 0 to 1.
    pub personal: f64,
    /// Device class.
    pub device: Device,
    /// Policy.
    pub policy: Policy,
    /// ISO 3166-1 alpha-2 in capitals, empty when unknown.
    #[wasm_bindgen(getter_with_clone)]
    pub country: String,
    /// ISO 639-1 in lower case, empty for any.
    #[wasm_bindgen(getter_with_clone)]
    pub language: String,
    /// Topic slug of the section, empty for none.
    #[wasm_bindgen(getter_with_clone)]
    pub section: String,
}

impl Default for RankRequest {
    fn default() -> Self {
        Self::new(30)
    }
}

#[wasm_bindgen]
impl RankRequest {
    /// The first `limit` items for nobody in particular.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(limit: u16) -> Self {
        Self {
            limit,
            offset: 0,
            seed: 0,
            explain: false,
            personal: 1.0,
            device: Device::Other,
            policy: Policy::Personal,
            country: String::new(),
            language: String::new(),
            section: String::new(),
        }
    }
}

impl RankRequest {
    /// The request of `shared`.
    pub(crate) fn decode(&self) -> Result<served::Request, JsError> {
        let section = if self.section.is_empty() {
            TOPICS as u8
        } else {
            topics::index(&self.section)
                .ok_or_else(|| JsError::new(&format!("no topic {:?}", self.section)))?
        };
        Ok(served::Request {
            limit: self.limit,
            offset: self.offset,
            context: Context {
                device: match self.device {
                    Device::Mobile => served::Device::Mobile,
                    Device::Desktop => served::Device::Desktop,
                    Device::Tablet => served::Device::Tablet,
                    Device::Tv => served::Device::Tv,
                    Device::Other => served::Device::Other,
                },
                country: letters(&self.country, "country")?,
                section,
                language: letters(&self.language, "language")?,
            },
            seed: self.seed,
            arm: match self.policy {
                Policy::Editorial => served::Arm::Editorial,
                Policy::Classic => served::Arm::Classic,
                Policy::Personal => served::Arm::Personal,
            },
            explain: self.explain,
            personal: (self.personal.clamp(0.0, 1.0) * f64::from(Q16)) as u32,
        })
    }
}

fn letters(text: &str, what: &str) -> Result<u16, JsError> {
    match *text.as_bytes() {
        [] => Ok(0),
        [a, b] => Ok(u16::from_be_bytes([a, b])),
        _ => Err(JsError::new(&format!("{what} {text:?} is not two letters"))),
    }
}
