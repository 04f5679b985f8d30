//! Names of events as trackers commonly use them, and ours.

use mediaflow_shared::event::EventType;
use mediaflow_shared::event::EventType as T;

use super::Context;
use crate::collector::check::Refusal;

/// What is compared: lower case, everything but letters and digits as one underscore.
pub(crate) fn normal(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_alphanumeric() {
            out.extend(c.to_lowercase());
        } else if !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
    }
    out.truncate(out.trim_end_matches('_').len());
    out
}

/// What `name` is for this sender: its own types first, then the table of common names. `None`: of no use here.
pub(super) fn kind(name: &str, c: &Context<'_>) -> Result<Option<EventType>, Refusal> {
    let name = normal(name);
    if let Some(kind) = c.sender.kind(&name).or_else(|| common(&name)) {
        return Ok(kind);
    }
    let shown: String = name.chars().take(60).collect();
    Err(Refusal::new(
        format!("event name `{shown}` is not known"),
        format!(
            "map it under [collect.sender.types] of a sender with envelope = \"{}\", then replay the dead letter",
            c.envelope.name()
        ),
    ))
}

/// Exact names. `Some(None)`: known, and of no use.
fn common(name: &str) -> Option<Option<EventType>> {
    let kind = match name {
        "read" | "article_read" | "content_read" | "story_read" | "user_engagement" => T::Read,
        "view" | "page" | "screen" | "page_view" | "pageview" | "screen_view" | "article_view"
        | "article_viewed" | "content_view" | "content_viewed" | "view_item" | "product_viewed" => {
            T::View
        }
        "impression" | "recommendation_viewed" | "item_viewed_in_list" => T::Impression,
        "click"
        | "article_click"
        | "article_clicked"
        | "content_clicked"
        | "product_clicked"
        | "select_content"
        | "select_item"
        | "link_click"
        | "recommendation_clicked" => T::Click,
        "play"
        | "start"
        | "pause"
        | "resume"
        | "seek"
        | "stop"
        | "complete"
        | "completed"
        | "progress"
        | "heartbeat"
        | "watch"
        | "video_watch"
        | "video_start"
        | "video_progress"
        | "video_complete"
        | "video_playback_started"
        | "video_playback_paused"
        | "video_playback_resumed"
        | "video_playback_completed"
        | "video_playback_interrupted"
        | "video_playback_seek_completed"
        | "video_playback_exited"
        | "video_content_started"
        | "video_content_playing"
        | "video_content_completed"
        | "play_event"
        | "pause_event"
        | "end_event"
        | "seek_end_event"
        | "ping_event"
        | "percent_progress_event" => T::VideoProgress,
        "ad_click" | "ad_clicked" | "promotion_clicked" | "select_promotion" => T::AdClick,
        "ad_impression" | "ad_viewed" | "ad_view" | "promotion_viewed" | "view_promotion"
        | "video_ad_started" => T::AdImpression,
        "conversion"
        | "ad_conversion"
        | "purchase"
        | "order_completed"
        | "subscribe"
        | "subscription_started"
        | "transaction" => T::Conversion,
        "signup"
        | "sign_up"
        | "signed_up"
        | "newsletter_signup"
        | "newsletter_signed_up"
        | "newsletter_subscribed"
        | "generate_lead" => T::Signup,
        "like"
        | "liked"
        | "favorite"
        | "favourite"
        | "bookmark"
        | "article_liked"
        | "content_liked"
        | "product_added_to_wishlist"
        | "add_to_wishlist" => T::Like,
        "dislike" | "hide" | "not_interested" => T::Hide,
        "share" | "shared" | "article_shared" | "content_shared" | "product_shared"
        | "social_interaction" => T::Share,
        "comment" | "commented" | "comment_posted" | "article_commented" => T::Comment,
        "rate" | "rating" | "rated" | "content_rated" | "product_reviewed" => T::Rating,
        "identify" => T::Identify,
        // Of use to others: sessions are ours to find, and pings say nothing that is not said again.
        "session_start"
        | "first_visit"
        | "first_open"
        | "scroll"
        | "page_ping"
        | "page_leave"
        | "login"
        | "logout"
        | "group"
        | "alias"
        | "transaction_item"
        | "application_opened"
        | "application_installed"
        | "application_backgrounded"
        | "application_updated"
        | "signed_in"
        | "signed_out"
        | "search"
        | "form_start"
        | "ready_event"
        | "buffer"
        | "buffering"
        | "buffer_start_event"
        | "buffer_end_event"
        | "seek_start_event"
        | "video_playback_buffer_started"
        | "video_playback_buffer_completed"
        | "video_playback_seek_started"
        | "video_ad_playing"
        | "video_ad_completed"
        | "file_download"
        | "quality_change"
        | "volume_change_event" => {
            return Some(None);
        }
        _ => return None,
    };
    Some(Some(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_and_punctuation() {
        assert_eq!(normal("  Video Content-Playing! "), "video_content_playing");
        assert_eq!(
            common(&normal("Order Completed")),
            Some(Some(T::Conversion))
        );
        assert_eq!(common("teleported"), None);
        assert_eq!(normal(""), "");
    }
}
