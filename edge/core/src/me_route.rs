//! `GET|POST /v1/me?brand=`: what is held about a reader, in words, and the reader's say over it.
//!
//! Everything takes effect through the token alone, on the very next request. The origin learns it as an event.

mod actions;
mod words;

pub use actions::{Action, Desk, Done, act, mute_of, parse};
pub use words::{About, about};

use crate::Edge;
use crate::config::Brand;
use crate::cors;
use crate::events_route::{front_of, open};
use crate::http::{Request, Response};
use crate::params::Params;
use crate::platform::Platform;
use crate::problem::{Kind, Problem, echo};
use crate::routes::Status;
use crate::visitor::known;
use mediaflow_shared::time::Timestamp;

/// The brand a request is about.
///
/// # Errors
/// A [`Problem`] when it is not said or not known.
pub fn brand_of<'a>(edge: &'a Edge, slug: Option<&str>) -> Result<&'a Brand, Problem> {
    let Some(slug) = slug else {
        return Err(Problem::new(
            Kind::BadRequest,
            "query parameter `brand`",
            "is missing",
            "add `?brand=` and the brand's slug",
        ));
    };
    edge.config().brand(slug).ok_or_else(|| {
        Problem::new(
            Kind::NotFound,
            format!("brand {:?}", echo(slug)),
            "is not served here",
            "check the slug",
        )
    })
}

/// Answers GET and HEAD.
///
/// # Errors
/// A [`Problem`] naming the brand.
pub async fn tell<P: Platform>(
    edge: &Edge,
    platform: &P,
    request: &Request,
) -> Result<Response, Problem> {
    let params = Params::parse(&request.query);
    let brand = brand_of(edge, params.first("brand"))?;
    let (told, mut response) = told(edge, platform, brand, request).await;
    response.status = Status::Ok.code();
    response.body = serde_json::to_vec(&told).unwrap_or_default();
    Ok(cors::allow(response, brand, &request.headers)
        .header("content-type", "application/json")
        .header("vary", "Cookie, Origin, Sec-GPC"))
}

/// What is held, and a response that carries the cookie and the deferred work, still without a body.
pub async fn told<P: Platform>(
    edge: &Edge,
    platform: &P,
    brand: &Brand,
    request: &Request,
) -> (About, Response) {
    let mut later = Vec::new();
    let mut visitor = open(edge, platform, brand, request, &mut later).await;
    let front = front_of(edge, platform, brand, None, &mut later).await;
    let known = known(edge, platform, &mut visitor, &front).await;
    let now = Timestamp(platform.now_ms()).minute();
    let told = about(brand, &visitor, known.as_ref(), &front, now);
    let mut response = Response::new(Status::Ok)
        .header("cache-control", "private, no-store")
        .header("mediaflow-consent", visitor.consent.text());
    if let Some(why) = visitor.refused {
        response = response.header("mediaflow-token", format!("refused; reason={why}"));
    }
    if let Some(cookie) = visitor.set_cookie(edge, platform, brand, now) {
        response = response.header("set-cookie", cookie);
    }
    response.deferred = later;
    (told, response)
}

/// Answers POST: JSON with JSON, a form with a redirect to the page it came from.
///
/// # Errors
/// A [`Problem`].
pub async fn change<P: Platform>(
    edge: &Edge,
    platform: &P,
    request: &Request,
) -> Result<Response, Problem> {
    let params = Params::parse(&request.query);
    let kind = request.headers.first("content-type").unwrap_or("");
    let form = kind.starts_with("application/x-www-form-urlencoded");
    if !form && !kind.starts_with("application/json") {
        return Err(Problem::new(
            Kind::UnsupportedType,
            format!("header `Content-Type: {}`", echo(kind)),
            "is not read here",
            "send application/json or application/x-www-form-urlencoded",
        ));
    }
    let (action, brand_said, back) = parse(&request.body, form)?;
    let brand = brand_of(edge, params.first("brand").or(brand_said.as_deref()))?;
    cors::refuse_foreign(brand, &request.headers, form)?;
    let mut later = Vec::new();
    let mut visitor = open(edge, platform, brand, request, &mut later).await;
    let front = front_of(edge, platform, brand, None, &mut later).await;
    let desk = Desk {
        edge,
        platform,
        brand,
        request,
    };
    let done = act(&desk, &mut visitor, &front, &action, &mut later).await?;
    let mut response = if form {
        Response::new(Status::SeeOther).header("location", local(brand, back.as_deref()))
    } else {
        let body = serde_json::json!({"done": action.name(), "consent": done.consent.text()});
        Response::with_body(
            Status::Ok,
            "application/json",
            body.to_string().into_bytes(),
        )
    };
    response = response
        .header("cache-control", "private, no-store")
        .header("mediaflow-consent", done.consent.text());
    for cookie in done.cookies {
        response = response.header("set-cookie", cookie);
    }
    response = cors::allow(response, brand, &request.headers);
    response.deferred = later;
    Ok(response)
}

/// Where a form goes back to: a reader page of this brand, nowhere else.
fn local(brand: &Brand, back: Option<&str>) -> String {
    let home = format!("/r/{}", brand.slug);
    match back {
        Some(b)
            if (b == home
                || b.starts_with(&format!("{home}/"))
                || b.starts_with(&format!("{home}?")))
                && b.bytes().all(|c| c.is_ascii_graphic() && c != b'\\')
                && !b.contains("..") =>
        {
            b.to_owned()
        }
        _ => home,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::brand;

    #[test]
    fn a_form_goes_back_to_a_page_of_its_brand_only() {
        let b = brand("daily");
        for good in ["/r/daily", "/r/daily/me", "/r/daily/sport?x=1#top"] {
            assert_eq!(local(&b, Some(good)), good);
        }
        for bad in [
            "",
            "//evil.example",
            "https://evil.example",
            "/r/dailyx",
            "/r/daily/../../admin",
            "/r/daily/\r\nset-cookie: a",
        ] {
            assert_eq!(local(&b, Some(bad)), "/r/daily", "{bad}");
        }
    }
}
