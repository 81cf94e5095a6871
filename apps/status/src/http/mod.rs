//! As much of HTTP/1.1 as a page, a scraper and a profiler need: GET and HEAD without a body.
//!
//! No input or output here: [`Request::parse`] is shown what has come so far, and
//! [`Response::emit`] makes the bytes of an answer.

mod request;
mod response;

pub(crate) use request::{BadRequest, Method, Request};
pub(crate) use response::{Response, Status};

/// Longest head of a request, in bytes. Browsers send about 1 KB.
pub(crate) const MAX_HEAD: usize = 8_192;
