//! The reader page: a front page that works without JavaScript, rendered from the same feed that programs get.
//!
//! `/r/{brand}[/{surface}]` front page · `/r/{brand}/a/{id}` an article · `/r/{brand}/me` what is held about the
//! reader · `/go/{brand}?x=` counts a click and leads to the item · `/assets/` style and script.

mod article;
mod front;
mod html;
mod me;

use crate::Edge;
use crate::http::{Request, Response};
use crate::platform::Platform;
use crate::problem::Problem;
use crate::routes::{Status, find, nowhere};

const CSS: &str = include_str!("../assets/reader.css");
const JS: &str = include_str!("../assets/reader.js");

/// Answers GET for everything that is for people.
pub(crate) async fn answer<P: Platform>(
    edge: &Edge,
    platform: &P,
    request: &Request,
    parts: &[&str],
) -> Result<Response, Problem> {
    match parts {
        [""] => Ok(html::brands(edge.config())),
        ["assets", "reader.css"] => Ok(asset("text/css; charset=utf-8", CSS)),
        ["assets", "reader.js"] => Ok(asset("text/javascript; charset=utf-8", JS)),
        ["r", brand, "a", id] => article::page(edge, platform, request, brand, id).await,
        ["r", brand, "me"] => me::page(edge, platform, request, brand).await,
        ["r", brand] | ["r", brand, ""] => {
            let surface = first_surface(edge, brand);
            let (brand, surface) = find(edge, brand, surface)?;
            front::page(edge, platform, request, brand, surface).await
        }
        ["r", brand, surface] => {
            let (brand, surface) = find(edge, brand, surface)?;
            front::page(edge, platform, request, brand, surface).await
        }
        ["go", brand] => article::go(edge, platform, request, brand).await,
        _ => Err(nowhere(request)),
    }
}

/// The slug of a brand's first surface; empty for an unknown brand, which [`find`] then names.
fn first_surface<'a>(edge: &'a Edge, brand: &str) -> &'a str {
    edge.config()
        .brand(brand)
        .and_then(|b| b.surfaces.first())
        .map_or("", |s| s.slug.as_str())
}

fn asset(kind: &str, text: &str) -> Response {
    // The page names the version in the query, so a new release is a new URL.
    Response::with_body(Status::Ok, kind, text.as_bytes().to_vec())
        .header("cache-control", "public, max-age=31536000, immutable")
        .header("x-content-type-options", "nosniff")
}
