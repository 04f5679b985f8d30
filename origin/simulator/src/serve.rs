//! The content systems over HTTP: one listener, a path prefix per source, items appearing as the clock runs.
//!
//! `/{source}/…` is that source's system, `/{source}/<number>/<words>` the page of an item; `/img/<seed>.svg` its pictures; `/` lists the sources. Bound to loopback by
//! the callers; nothing here is meant for the open network.

use crate::brands::{BRANDS, Wire, source_index};
use crate::clock::Clock;
use crate::cms::{Params, Reply, Shelf, custom, drupal, escape, wordpress};
use crate::error::SimulatorError;
use crate::limits::{DAYS_HELD_MAX, HTTP_TIMEOUT_S, WEBHOOK_TICK_MS};
use crate::webhook;
use crate::world::{Change, Item, State, World, day_of};
use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State as AxumState};
use axum::http::{HeaderMap, Response, StatusCode, Uri, header};
use axum::routing::get;
use mediaflow_shared::time::Timestamp;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Where WordPress webhooks go.
#[derive(Clone)]
pub struct Webhooks {
    /// Origin base URL without a final slash; deliveries go to `/webhooks/{source}` below it.
    pub origin_url: String,
    /// Shared secret of each source; a source without one sends nothing.
    pub secrets: BTreeMap<String, Vec<u8>>,
}

struct Site {
    world: RwLock<World>,
    clock: Clock,
}

/// A running server. Dropping it stops it at once; [`Running::stop`] waits for requests under way.
pub struct Running {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
    webhooks: Option<JoinHandle<()>>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:4711`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Stops listening and waits for requests under way.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(task) = self.webhooks.take() {
            task.abort();
        }
        let _ = (&mut self.server).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After `stop` the server has ended by itself and aborting does nothing.
        self.server.abort();
        if let Some(task) = &self.webhooks {
            task.abort();
        }
    }
}

/// Serves `world` on `addr` (port 0 picks a free one). When the clock passes the last day of `world`, the next days
/// are made from its seed; only [`DAYS_HELD_MAX`] days are kept.
///
/// # Errors
/// [`SimulatorError::Listen`] when the address cannot be bound.
pub async fn serve(
    world: World,
    addr: SocketAddr,
    clock: Clock,
    webhooks: Option<Webhooks>,
) -> Result<Running, SimulatorError> {
    let listen = |source| SimulatorError::Listen { addr, source };
    let listener = tokio::net::TcpListener::bind(addr).await.map_err(listen)?;
    let addr = listener.local_addr().map_err(listen)?;
    let site = Arc::new(Site {
        world: RwLock::new(world),
        clock,
    });
    let app = Router::new()
        .route("/", get(index))
        .fallback(get(answer))
        .with_state(Arc::clone(&site));
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        let end = async move {
            let _ = stopped.await;
        };
        if let Err(e) = axum::serve(listener, app).with_graceful_shutdown(end).await {
            tracing::warn!(error = %e, "simulated publisher stopped");
        }
    });
    let webhooks = webhooks.map(|w| tokio::spawn(send_webhooks(site, w, format!("http://{addr}"))));
    Ok(Running {
        addr,
        stop: Some(stop),
        server,
        webhooks,
    })
}

impl Site {
    /// Runs `f` on the content as of now, after making the days the clock has reached.
    fn with_world<T>(&self, f: impl FnOnce(&World, Timestamp) -> T) -> T {
        let now = self.clock.now();
        let day = day_of(now);
        {
            // A panic while holding the lock leaves the world as it was: reading it is sound.
            let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
            if day < world.first_day + world.days {
                return f(&world, now);
            }
        }
        let mut world = self.world.write().unwrap_or_else(PoisonError::into_inner);
        if day > world.first_day + world.days + DAYS_HELD_MAX {
            *world = World::empty(world.seed, day - DAYS_HELD_MAX);
        }
        world.extend_to(day, DAYS_HELD_MAX);
        f(&world, now)
    }

    fn shelf<T>(
        &self,
        brand: usize,
        root: &str,
        trusted: bool,
        f: impl FnOnce(&Shelf<'_>) -> T,
    ) -> T {
        let base = format!("{root}/{}", BRANDS[brand].source);
        self.with_world(|world, now| {
            let own = world.items.iter().filter(|i| i.brand == brand);
            let items = own.filter_map(|i| i.state(now).map(|s| (i, s))).collect();
            f(&Shelf {
                base: &base,
                root,
                trusted,
                items,
            })
        })
    }
}

async fn index(AxumState(site): AxumState<Arc<Site>>) -> Response<Body> {
    let items = site.with_world(|w, now| w.items.iter().filter(|i| i.published <= now).count());
    let sources: Vec<_> = BRANDS.iter()
        .map(|b| serde_json::json!({"brand": b.slug, "name": b.name, "source": b.source, "wire": format!("{:?}", b.wire)}))
        .collect();
    let body = serde_json::json!({"now": site.clock.now().to_string(), "items": items, "sources": sources});
    send(Reply {
        status: 200,
        headers: vec![("content-type", "application/json".into())],
        body: body.to_string(),
    })
}

async fn answer(
    AxumState(site): AxumState<Arc<Site>>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    let host = headers
        .get(header::HOST)
        .and_then(|h| h.to_str().ok())
        .unwrap_or("localhost");
    let root = format!("http://{host}");
    let trusted = headers.contains_key(header::AUTHORIZATION);
    let query = query.unwrap_or_default();
    let path = uri.path().trim_start_matches('/');
    let (source, rest) = path.split_once('/').unwrap_or((path, ""));
    if source == "img" {
        return send(picture(rest));
    }
    let Some(brand) = source_index(source) else {
        return send(missing(path));
    };
    send(site.shelf(brand, &root, trusted, |shelf| {
        route(shelf, brand, rest.trim_end_matches('/'), &query)
    }))
}

fn route(shelf: &Shelf<'_>, brand: usize, rest: &str, query: &str) -> Reply {
    const POSTS: &str = "wp-json/wp/v2/posts";
    const NODES: &str = "jsonapi/node/article";
    let params = Params::parse(query);
    let number = rest
        .split_once('/')
        .and_then(|(n, _)| n.parse::<u64>().ok());
    if let Some((item, state)) =
        number.and_then(|n| shelf.items.iter().find(|(i, _)| i.number == n))
    {
        return page(item, *state, shelf.root);
    }
    match BRANDS[brand].wire {
        Wire::Wordpress if rest == POSTS => wordpress::posts(shelf, &params),
        Wire::Wordpress => match rest.strip_prefix(POSTS).and_then(|r| r.strip_prefix('/')) {
            Some(id) => wordpress::single(shelf, id, &params),
            None => missing(rest),
        },
        Wire::Drupal if rest == NODES => drupal::articles(shelf, query),
        Wire::Drupal => match rest.strip_prefix(NODES).and_then(|r| r.strip_prefix('/')) {
            Some(id) => drupal::single(shelf, id, query),
            None => missing(rest),
        },
        Wire::Nested if rest == "api/v2/stories" => custom::nested(shelf, &params),
        Wire::Lines if rest == "export.ndjson" => custom::lines(shelf, &params),
        Wire::Epoch if rest == "feed.json" => custom::epoch(shelf, &params),
        Wire::Nested | Wire::Lines | Wire::Epoch => missing(rest),
    }
}

fn missing(path: &str) -> Reply {
    let body = serde_json::json!({"code": "rest_no_route", "message": format!("no route {path:?}"), "data": {"status": 404}});
    Reply {
        status: 404,
        headers: vec![("content-type", "application/json".into())],
        body: body.to_string(),
    }
}

/// An item's page as a reader opens it from a feed.
fn page(item: &Item, state: State, root: &str) -> Reply {
    let headers = vec![("content-type", String::from("text/html; charset=utf-8"))];
    if !state.live {
        return Reply {
            status: 410,
            headers,
            body: String::from("<!doctype html><title>Gone</title><p>Withdrawn.</p>"),
        };
    }
    let (title, brand) = (escape(&item.title), item.brand());
    let body = format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>body{{max-width:40em;margin:2em auto;\
         padding:0 1em;font:1.1em/1.6 Georgia,serif}}img{{max-width:100%}}</style></head><body><p>{}</p>\
         <h1>{title}</h1><p>{}</p><img src=\"{}\" alt=\"\">{}</body></html>",
        brand.language.code(),
        escape(brand.name),
        escape(&item.author_name().unwrap_or_default()),
        item.image_url(root),
        item.story.body_html(state.revision),
    );
    Reply {
        status: 200,
        headers,
        body,
    }
}

/// A calm two-colour placeholder, different for every seed.
fn picture(name: &str) -> Reply {
    let Ok(seed) = u64::from_str_radix(name.trim_end_matches(".svg"), 16) else {
        return missing(name);
    };
    let (hue, x, y, r) = (
        seed % 360,
        200 + seed / 360 % 800,
        150 + seed / 77 % 400,
        120 + seed / 13 % 220,
    );
    let body = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1200\" height=\"675\" viewBox=\"0 0 1200 675\">\
         <rect width=\"1200\" height=\"675\" fill=\"hsl({hue},35%,82%)\"/>\
         <circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\" fill=\"hsl({},40%,62%)\"/>\
         <path d=\"M0 560 L400 {} L760 590 L1200 {} V675 H0 Z\" fill=\"hsl({hue},30%,45%)\"/></svg>",
        (hue + 40) % 360,
        380 + seed / 5 % 120,
        400 + seed / 7 % 140,
    );
    let headers = vec![
        ("content-type", String::from("image/svg+xml")),
        ("cache-control", String::from("public, max-age=86400")),
    ];
    Reply {
        status: 200,
        headers,
        body,
    }
}

fn send(reply: Reply) -> Response<Body> {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The instants at which an item changed within `(from, to]`.
fn moments(item: &Item, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let later = item
        .changes
        .iter()
        .map(|(t, c): &(Timestamp, Change)| (*t, c))
        .map(|(t, _)| t);
    std::iter::once(item.published)
        .chain(later)
        .filter(|t| *t > from && *t <= to)
        .collect()
}

/// Posts a webhook for every change of a WordPress item since the last look. A failed delivery is left to polling,
/// as with the real plugins.
async fn send_webhooks(site: Arc<Site>, to: Webhooks, root: String) {
    let timeout = Duration::from_secs(HTTP_TIMEOUT_S);
    let Ok(client) = reqwest::Client::builder()
        .timeout(timeout)
        .no_proxy()
        .build()
    else {
        return;
    };
    let mut seen = site.clock.now();
    loop {
        tokio::time::sleep(Duration::from_millis(WEBHOOK_TICK_MS)).await;
        let sent = Clock::real().now();
        let (due, now) = site.with_world(|world, now| {
            let mut due = Vec::new();
            for item in world
                .items
                .iter()
                .filter(|i| i.brand().wire == Wire::Wordpress)
            {
                let Some(secret) = to.secrets.get(item.brand().source) else {
                    continue;
                };
                for at in moments(item, seen, now) {
                    if let Some(state) = item.state(at) {
                        due.push((
                            item.brand().source,
                            webhook::delivery(item, state, &root, secret, sent),
                        ));
                    }
                }
            }
            (due, now)
        });
        seen = now;
        for (source, d) in due {
            let url = format!("{}/webhooks/{source}", to.origin_url);
            let request = client
                .post(&url)
                .header("content-type", "application/json")
                .header("x-mediaflow-signature", d.signature)
                .header("x-mediaflow-timestamp", d.timestamp)
                .header("x-mediaflow-delivery", d.delivery)
                .body(d.body);
            match request.send().await {
                Ok(r) if r.status().is_success() => {}
                Ok(r) => tracing::warn!(source, status = r.status().as_u16(), "webhook refused"),
                Err(e) => tracing::warn!(source, error = %e, "webhook not delivered"),
            }
        }
    }
}
