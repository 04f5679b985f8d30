//! The fronts of a replayed moment: the same selection, the same columns, rebuilt on the same beat.

use mediaflow_shared::front::Front;
use mediaflow_shared::front::build::{Head, Item, encode};
use mediaflow_shared::front::flag;
use mediaflow_shared::id::ContentId;
use mediaflow_shared::model::Model;
use mediaflow_shared::time::{Minute, Timestamp};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::candidates::select;
use crate::index::Live;
use crate::limits::SURFACE_ITEMS;
use crate::plan::Stages;
use crate::publishing::gate::Stage;
use crate::settings::{BrandSettings, ModelSettings, PublisherSettings, SurfaceSettings};
use crate::stream::Signals;

struct Paper {
    settings: BrandSettings,
    model: Model,
    /// Not published yet, the next one first.
    to_come: VecDeque<Live>,
    live: HashMap<ContentId, Live>,
    signals: Signals,
    built: Option<Minute>,
    stages: Vec<Stage>,
}

pub(super) struct Newsroom {
    papers: HashMap<String, Paper>,
    rebuild_min: u32,
}

impl Newsroom {
    pub fn new(settings: &PublisherSettings, articles: Vec<(String, Live)>) -> Self {
        let mut this = Self {
            papers: HashMap::new(),
            rebuild_min: u32::try_from(settings.rebuild_every_s / 60)
                .unwrap_or(1)
                .max(1),
        };
        for b in &settings.brands {
            this.papers.insert(b.slug.clone(), Paper::new(b.clone()));
        }
        for (brand, live) in articles {
            this.paper(&brand).to_come.push_back(live);
        }
        for paper in this.papers.values_mut() {
            paper
                .to_come
                .make_contiguous()
                .sort_by_key(|l| (l.item.published, l.item.content));
        }
        this
    }

    fn paper(&mut self, brand: &str) -> &mut Paper {
        if !self.papers.contains_key(brand) {
            self.papers
                .insert(brand.to_owned(), Paper::new(plain(brand)));
        }
        self.papers
            .entry(brand.to_owned())
            .or_insert_with(|| Paper::new(plain(brand)))
    }

    /// An item that nobody described is on the front from the first event about it, which happened there.
    pub fn invent(&mut self, brand: &str, content: ContentId, now: Minute) {
        let paper = self.paper(brand);
        let Entry::Vacant(free) = paper.live.entry(content) else {
            return;
        };
        free.insert(Live {
            item: Item {
                content,
                published: now,
                ..Item::default()
            },
            source: 0,
            categories: Vec::new(),
            simhash: 0,
            updated: Timestamp(0),
        });
        paper.built = None;
    }

    pub fn click(&mut self, brand: &str, content: ContentId, at: Minute) {
        self.paper(brand).signals.click(content, at);
    }

    pub fn follow(&mut self, brand: &str, from: ContentId, to: ContentId, at: Minute) {
        self.paper(brand).signals.follow(from, to, at);
    }

    /// What edges rank with at `now`; surfaces without items are left out.
    pub fn stages(&mut self, brand: &str, now: Minute) -> Stages<'_> {
        let rebuild_min = self.rebuild_min;
        let paper = self.paper(brand);
        if paper.built.is_none_or(|b| now.since(b) >= rebuild_min) {
            paper.rebuild(now);
        }
        &paper.stages
    }
}

/// A brand that the configuration does not name.
fn plain(slug: &str) -> BrandSettings {
    BrandSettings {
        slug: slug.to_owned(),
        name: slug.to_owned(),
        home_url: String::new(),
        languages: Vec::new(),
        surfaces: vec![SurfaceSettings {
            slug: "home".to_owned(),
            topics: Vec::new(),
            categories: Vec::new(),
            items_max: SURFACE_ITEMS,
        }],
        model: ModelSettings::default(),
        publish: None,
    }
}

impl Paper {
    fn new(settings: BrandSettings) -> Self {
        // Checked by `PublisherSettings::check`.
        let model = settings
            .model
            .apply(Model::default(), &settings.slug)
            .unwrap_or_default();
        Self {
            model,
            settings,
            to_come: VecDeque::new(),
            live: HashMap::new(),
            signals: Signals::default(),
            built: None,
            stages: Vec::new(),
        }
    }

    fn rebuild(&mut self, now: Minute) {
        self.built = Some(now);
        while let Some(l) = self.to_come.pop_front_if(|l| l.item.published <= now) {
            self.live.insert(l.item.content, l);
        }
        let age_min_max = u32::from(self.model.age_h_max) * 60;
        self.live.retain(|_, l| {
            let young = now.since(l.item.published) <= age_min_max;
            young || l.item.flags & flag::EVERGREEN != 0
        });
        let live: Vec<&Live> = self
            .live
            .values()
            .filter(|l| l.item.expires.0 == 0 || l.item.expires > now)
            .collect();
        self.stages.clear();
        for surface in &self.settings.surfaces {
            let items = select(surface, &live, &self.signals, now);
            let head = Head {
                brand: &self.settings.slug,
                surface: &surface.slug,
                built: now,
                ..Head::default()
            };
            let front = encode(&head, items).ok().and_then(|b| Front::parse(b).ok());
            if let Some(front) = front.filter(|f| !f.is_empty()) {
                self.stages.push(Stage {
                    front: Arc::new(front),
                    rules: None,
                    model: self.model,
                });
            }
        }
    }
}
