//! Answers.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::Method;

/// A status code and what it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status(u16, &'static str);

impl Status {
    pub(crate) const OK: Self = Self(200, "OK");
    pub(crate) const BAD_REQUEST: Self = Self(400, "Bad Request");
    pub(crate) const FORBIDDEN: Self = Self(403, "Forbidden");
    pub(crate) const NOT_FOUND: Self = Self(404, "Not Found");
    pub(crate) const BAD_METHOD: Self = Self(405, "Method Not Allowed");
    #[cfg(all(feature = "profile", unix))]
    pub(crate) const CONFLICT: Self = Self(409, "Conflict");
    pub(crate) const BODY_TOO_LONG: Self = Self(413, "Content Too Large");
    pub(crate) const HEAD_TOO_LONG: Self = Self(431, "Request Header Fields Too Large");
    #[cfg(all(feature = "profile", unix))]
    pub(crate) const FAILED: Self = Self(500, "Internal Server Error");
    pub(crate) const UNAVAILABLE: Self = Self(503, "Service Unavailable");
    pub(crate) const BAD_VERSION: Self = Self(505, "HTTP Version Not Supported");
}

/// An answer with its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    status: Status,
    content_type: &'static str,
    /// One more header line, or nothing.
    header: Cow<'static, str>,
    body: Cow<'static, [u8]>,
}

impl Response {
    /// A body of some type.
    pub(crate) fn new(
        status: Status,
        content_type: &'static str,
        body: impl Into<Cow<'static, [u8]>>,
    ) -> Self {
        Self { status, content_type, header: Cow::Borrowed(""), body: body.into() }
    }

    /// Words.
    pub(crate) fn text(status: Status, text: impl Into<String>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", text.into().into_bytes())
    }

    /// Adds a header line, once.
    pub(crate) fn with_header(self, line: impl Into<Cow<'static, str>>) -> Self {
        Self { header: line.into(), ..self }
    }

    /// The bytes on the wire: to a HEAD request only the head.
    pub(crate) fn emit(&self, method: Method, keeps_alive: bool) -> Vec<u8> {
        let Status(code, reason) = self.status;
        let mut head = format!("HTTP/1.1 {code} {reason}\r\n");
        let connection = if keeps_alive { "keep-alive" } else { "close" };
        let (kind, len) = (self.content_type, self.body.len());
        // A String takes all that is written to it.
        let _ = write!(
            head,
            "Content-Type: {kind}\r\nContent-Length: {len}\r\nConnection: {connection}\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
             Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n"
        );
        if !self.header.is_empty() {
            let _ = write!(head, "{}\r\n", self.header);
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if method != Method::Head {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_answer_is_the_head_of_the_whole() {
        let response = Response::text(Status::NOT_FOUND, "no\n").with_header("Allow: GET, HEAD");
        let whole = response.emit(Method::Get, true);
        let head = response.emit(Method::Head, true);
        assert_eq!(whole, [&head[..], b"no\n"].concat());
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n") && head.ends_with("\r\n\r\n"));
        assert!(
            head.contains("\r\nContent-Length: 3\r\n") && head.contains("\r\nAllow: GET, HEAD\r\n")
        );
    }
}
