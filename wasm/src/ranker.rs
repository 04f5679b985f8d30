//! The four values of KV storage, and what can be asked of them.

use crate::request::RankRequest;
use mediaflow_shared::feed::{self, FeedHead};
use mediaflow_shared::front::Front;
use mediaflow_shared::id::ContentId;
use mediaflow_shared::model::Model;
use mediaflow_shared::profile::{Profile, blob, words};
use mediaflow_shared::rank::{self, Query, Scratch, Slate};
use mediaflow_shared::rules::Rules;
use mediaflow_shared::served::Request;
use mediaflow_shared::time::Minute;
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

/// What a feed says about itself.
#[wasm_bindgen(getter_with_clone)]
#[derive(Debug, Clone, Default)]
pub struct FeedInfo {
    /// Title.
    pub title: String,
    /// The brand's page.
    pub home_page_url: String,
    /// This feed.
    pub feed_url: String,
    /// Brand slug.
    pub brand: String,
    /// Surface slug.
    pub surface: String,
    /// 16 bytes that sign the exposures; zeros when it has another length.
    pub exposure_key: Vec<u8>,
}

#[wasm_bindgen]
impl FeedInfo {
    /// Of one brand and surface.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(brand: String, surface: String) -> Self {
        Self {
            title: brand.clone(),
            brand,
            surface,
            ..Self::default()
        }
    }
}

/// Ranks one front.
#[wasm_bindgen]
pub struct Ranker {
    front: Front,
    profile: Option<Profile>,
    blob: Vec<u8>,
    rules: Option<(Rules, u64)>,
    model: Model,
    scratch: Scratch,
    slate: Slate,
}

#[wasm_bindgen]
impl Ranker {
    /// Takes a front as it stands in KV storage.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    #[wasm_bindgen(constructor)]
    pub fn new(front: Vec<u8>) -> Result<Self, JsError> {
        Ok(Self {
            front: Front::parse(front)?,
            profile: None,
            blob: Vec::new(),
            rules: None,
            model: Model::default(),
            scratch: Scratch::default(),
            slate: Slate::default(),
        })
    }

    /// Sets the reader's profile blob; no bytes forget it.
    ///
    /// # Errors
    /// What is wrong with the bytes; the profile before stays.
    #[wasm_bindgen(js_name = setProfile)]
    pub fn set_profile(&mut self, bytes: Vec<u8>) -> Result<(), JsError> {
        self.profile = if bytes.is_empty() {
            None
        } else {
            Some(blob::decode(&bytes)?)
        };
        self.blob = bytes;
        Ok(())
    }

    /// Sets the rules; no bytes remove them.
    ///
    /// # Errors
    /// What is wrong with the bytes; the rules before stay.
    #[wasm_bindgen(js_name = setRules)]
    pub fn set_rules(&mut self, bytes: &[u8]) -> Result<(), JsError> {
        self.rules = if bytes.is_empty() {
            None
        } else {
            Some(Rules::decode(bytes)?)
        };
        Ok(())
    }

    /// Sets the model; no bytes bring back the built-in one.
    ///
    /// # Errors
    /// What is wrong with the bytes; the model before stays.
    #[wasm_bindgen(js_name = setModel)]
    pub fn set_model(&mut self, bytes: &[u8]) -> Result<(), JsError> {
        self.model = if bytes.is_empty() {
            Model::default()
        } else {
            Model::decode(bytes)?
        };
        Ok(())
    }

    /// How many candidates the front has.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn candidates(&self) -> usize {
        self.front.len()
    }

    /// When the front was built, in minutes since the epoch.
    #[wasm_bindgen(getter, js_name = builtMinute)]
    #[must_use]
    pub fn built_minute(&self) -> u32 {
        self.front.built().0
    }

    /// The profile in words, one sentence each.
    #[wasm_bindgen(js_name = profileWords)]
    #[must_use]
    pub fn profile_words(&self) -> Vec<String> {
        self.profile.as_ref().map_or_else(Vec::new, words::describe)
    }

    /// The ids of the slots, best first.
    ///
    /// # Errors
    /// What is wrong with the request.
    pub fn ids(&mut self, request: &RankRequest, minute: u32) -> Result<Vec<String>, JsError> {
        let request = request.decode()?;
        let mut slate = core::mem::take(&mut self.slate);
        let mut scratch = core::mem::take(&mut self.scratch);
        rank::rank_into(&self.query(&request, minute), &mut scratch, &mut slate);
        let ids = slate.slots.iter().map(|s| s.content.to_string()).collect();
        (self.slate, self.scratch) = (slate, scratch);
        Ok(ids)
    }

    /// The feed as JSON Feed 1.1.
    ///
    /// # Errors
    /// What is wrong with the request.
    pub fn feed(
        &mut self,
        request: &RankRequest,
        minute: u32,
        info: &FeedInfo,
    ) -> Result<String, JsError> {
        let request = request.decode()?;
        let mut slate = core::mem::take(&mut self.slate);
        let mut scratch = core::mem::take(&mut self.scratch);
        let query = self.query(&request, minute);
        rank::rank_into(&query, &mut scratch, &mut slate);
        let version = self.rules.as_ref().map_or(0, |r| r.1);
        let now = query.minute;
        let head = FeedHead {
            title: &info.title,
            home_page_url: &info.home_page_url,
            feed_url: &info.feed_url,
            next_url: None,
            language: None,
            about: "",
            feed_id: &rank::feed_id(&query, version, &info.brand, &info.surface, &self.blob),
            brand: &info.brand,
            surface: &info.surface,
            rung: if self.profile.is_some() { 0 } else { 2 },
            profile_age_s: self.profile.map(|p| now.since(p.as_of).saturating_mul(60)),
            front_age_s: now.since(self.front.built()).saturating_mul(60),
        };
        let key = <[u8; 16]>::try_from(info.exposure_key.as_slice()).unwrap_or_default();
        let mut out = Vec::new();
        feed::write(&mut out, &head, &slate, &query, &key);
        (self.slate, self.scratch) = (slate, scratch);
        Ok(String::from_utf8(out)?)
    }

    /// What became of an item, as JSON: stage, code, text, and what belongs to it.
    ///
    /// # Errors
    /// What is wrong with the request or the id.
    pub fn explain(
        &self,
        request: &RankRequest,
        minute: u32,
        content_id: &str,
    ) -> Result<String, JsError> {
        let request = request.decode()?;
        let content = ContentId::parse(content_id)?;
        let query = self.query(&request, minute);
        let mut out = Vec::new();
        let why = rank::explain(&query, content);
        feed::write_why(&mut out, content, &why, feed::score_unit(query.arm()));
        Ok(String::from_utf8(out)?)
    }
}

impl Ranker {
    fn query<'a>(&'a self, request: &'a Request, minute: u32) -> Query<'a> {
        Query {
            profile: self.profile.as_ref(),
            front: &self.front,
            rules: self.rules.as_ref().map(|r| &r.0),
            model: &self.model,
            minute: Minute(minute),
            request,
        }
    }
}
