//! The reader page.

use crate::Edge;
use crate::http::{Request, Response};
use crate::platform::Platform;
use crate::problem::Problem;
use crate::routes::nowhere;

pub(crate) async fn answer<P: Platform>(
    _edge: &Edge,
    _platform: &P,
    request: &Request,
    _parts: &[&str],
) -> Result<Response, Problem> {
    Err(nowhere(request))
}
