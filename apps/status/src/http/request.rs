//! The head of a request.

use super::{MAX_HEAD, Response, Status};

/// What a request asks to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Other,
}

/// A request, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// As sent, from the first slash on.
    pub(crate) path: String,
    /// Behind the question mark; empty without one.
    pub(crate) query: String,
    /// Name or address of this server without the port, as the client calls it; empty if an
    /// HTTP/1.0 client did not say.
    pub(crate) host: String,
    /// Another request may follow on the connection.
    pub(crate) keeps_alive: bool,
    /// A browser sent it on behalf of a page of another site.
    pub(crate) is_cross_site: bool,
}

/// Why a request is not answered as such. The connection is of no use afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadRequest {
    /// The head is longer than [`MAX_HEAD`].
    TooLong,
    /// Not HTTP; what is wrong.
    Malformed(&'static str),
    /// Another version than 1.0 and 1.1.
    Version,
    /// A body is announced.
    Body,
}

impl BadRequest {
    /// What to tell the client.
    pub(crate) fn response(self) -> Response {
        match self {
            Self::TooLong => Response::text(
                Status::HEAD_TOO_LONG,
                format!("The head of a request may have {MAX_HEAD} bytes.\n"),
            ),
            Self::Malformed(what) => {
                Response::text(Status::BAD_REQUEST, format!("Bad request: {what}.\n"))
            }
            Self::Version => Response::text(Status::BAD_VERSION, "HTTP/1.1 is spoken here.\n"),
            Self::Body => {
                Response::text(Status::BODY_TOO_LONG, "Requests have no body here: GET or HEAD.\n")
            }
        }
    }
}

impl Request {
    /// Reads a request from the beginning of `bytes` and tells how many of them were its head;
    /// `None` while the head is not whole.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, BadRequest> {
        let mut lines = Lines { rest: bytes, taken: 0 };
        // An empty line before a request is a relic to be borne (RFC 9112, 2.2).
        let first = loop {
            match lines.next() {
                None => return unfinished(bytes),
                Some([]) => {}
                Some(line) => break line,
            }
        };
        let mut head = Vec::new();
        loop {
            match lines.next() {
                None => return unfinished(bytes),
                Some([]) => break,
                Some(line) => head.push(line),
            }
        }
        if lines.taken > MAX_HEAD {
            return Err(BadRequest::TooLong);
        }
        let mut fields = Fields::default();
        let (mut request, version) = Self::of_first_line(first)?;
        for line in head {
            fields.read(line)?;
        }
        if fields.has_body {
            return Err(BadRequest::Body);
        }
        request.is_cross_site = fields.is_cross_site;
        request.keeps_alive = match version {
            Version::V1_0 => fields.asks_to_keep,
            Version::V1_1 => !fields.asks_to_close,
        };
        match fields.host {
            // The target's own authority counts for more (RFC 9112, 3.2.2).
            Some(host) if request.host.is_empty() => request.host = host_name(&host).into(),
            None if version == Version::V1_1 => {
                return Err(BadRequest::Malformed("no Host header"));
            }
            _ => {}
        }
        Ok(Some((request, lines.taken)))
    }

    /// The value of `name` in the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
    }

    fn of_first_line(line: &[u8]) -> Result<(Self, Version), BadRequest> {
        let malformed = BadRequest::Malformed("the first line is not METHOD TARGET VERSION");
        let line = std::str::from_utf8(line).map_err(|_| malformed)?;
        let mut words = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(malformed);
        };
        let version = match version {
            "HTTP/1.1" => Version::V1_1,
            "HTTP/1.0" => Version::V1_0,
            other if other.starts_with("HTTP/") => return Err(BadRequest::Version),
            _ => return Err(malformed),
        };
        let method = match method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            other if !other.is_empty() && other.bytes().all(is_token) => Method::Other,
            _ => return Err(malformed),
        };
        let (host, target) = split_target(target)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = Self {
            method,
            path: path.into(),
            query: query.into(),
            host: host_name(host).into(),
            keeps_alive: false,
            is_cross_site: false,
        };
        Ok((request, version))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1_0,
    V1_1,
}

/// Header fields that matter.
#[derive(Debug, Default)]
struct Fields {
    host: Option<String>,
    asks_to_close: bool,
    asks_to_keep: bool,
    has_body: bool,
    is_cross_site: bool,
}

impl Fields {
    fn read(&mut self, line: &[u8]) -> Result<(), BadRequest> {
        let malformed = BadRequest::Malformed("a header line is not NAME: VALUE");
        let line = std::str::from_utf8(line).map_err(|_| malformed)?;
        let (name, value) = line.split_once(':').ok_or(malformed)?;
        if name.is_empty() || !name.bytes().all(is_token) || value.contains(['\r', '\0']) {
            return Err(malformed);
        }
        let value = value.trim_matches([' ', '\t']);
        match name.to_ascii_lowercase().as_str() {
            "host" if self.host.is_some() => return Err(BadRequest::Malformed("two Host headers")),
            "host" => self.host = Some(value.into()),
            "connection" => {
                for option in value.split(',').map(str::trim) {
                    self.asks_to_close |= option.eq_ignore_ascii_case("close");
                    self.asks_to_keep |= option.eq_ignore_ascii_case("keep-alive");
                }
            }
            "content-length" => self.has_body |= value.bytes().any(|byte| byte != b'0'),
            "transfer-encoding" => self.has_body = true,
            "sec-fetch-site" => self.is_cross_site = value == "cross-site",
            _ => {}
        }
        Ok(())
    }
}

/// Lines that are whole, without their ends.
struct Lines<'b> {
    rest: &'b [u8],
    taken: usize,
}

impl<'b> Iterator for Lines<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        let end = self.rest.iter().position(|&byte| byte == b'\n')?;
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        self.taken += end + 1;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

fn unfinished(bytes: &[u8]) -> Result<Option<(Request, usize)>, BadRequest> {
    if bytes.len() > MAX_HEAD { Err(BadRequest::TooLong) } else { Ok(None) }
}

/// Authority (empty in the usual form) and the rest of a target.
fn split_target(target: &str) -> Result<(&str, &str), BadRequest> {
    let malformed = BadRequest::Malformed("the target is not a path");
    if target.bytes().any(|byte| !byte.is_ascii_graphic()) || target.contains('#') {
        return Err(malformed);
    }
    if target.starts_with('/') {
        return Ok(("", target));
    }
    let rest = target.strip_prefix("http://").ok_or(malformed)?;
    let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
    match &rest[authority.len()..] {
        _ if authority.is_empty() => Err(malformed),
        "" => Ok((authority, "/")),
        path => Ok((authority, path)),
    }
}

/// An authority without its port.
fn host_name(authority: &str) -> &str {
    if authority.starts_with('[') {
        return authority.split_inclusive(']').next().unwrap_or(authority);
    }
    authority.split(':').next().unwrap_or(authority)
}

/// Characters of names (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Request, BadRequest> {
        Request::parse(text.as_bytes()).map(|parsed| parsed.expect("whole").0)
    }

    #[test]
    fn what_clients_send() {
        let curl = parse(
            "GET /metrics?a=1&seconds=5 HTTP/1.1\r\nHost: localhost:9100\r\nAccept: */*\r\n\r\n",
        );
        let curl = curl.unwrap();
        assert_eq!((curl.path.as_str(), curl.host.as_str()), ("/metrics", "localhost"));
        assert_eq!(curl.parameter("seconds"), Some("5"));
        assert_eq!(curl.parameter("second"), None);
        assert!(curl.keeps_alive && curl.method == Method::Get && !curl.is_cross_site);

        let typed = parse("\nHEAD / HTTP/1.0\n\n").unwrap();
        assert_eq!((typed.method, typed.host.as_str()), (Method::Head, ""));
        assert!(!typed.keeps_alive);
        assert!(parse("GET / HTTP/1.0\nconnection: Keep-Alive\n\n").unwrap().keeps_alive);

        let closing = parse("GET / HTTP/1.1\r\nhost: [::1]:80\r\nConnection: foo, Close\r\n\r\n");
        let closing = closing.unwrap();
        assert!(!closing.keeps_alive);
        assert_eq!(closing.host, "[::1]");

        let proxied = parse("GET http://a.example:1/x?y HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let proxied = proxied.unwrap();
        assert_eq!((proxied.host.as_str(), proxied.path.as_str()), ("a.example", "/x"));
        let page = "GET / HTTP/1.1\r\nHost: a\r\nSec-Fetch-Site: cross-site\r\n\r\n";
        assert!(parse(page).unwrap().is_cross_site);
        assert_eq!(parse("PURGE / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().method, Method::Other);
    }

    #[test]
    fn what_is_refused() {
        for (text, why) in [
            ("GET / HTTP/2\r\n\r\n", BadRequest::Version),
            ("GET / HTTP/1.1\r\n\r\n", BadRequest::Malformed("no Host header")),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
                BadRequest::Malformed("two Host headers"),
            ),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", BadRequest::Body),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", BadRequest::Body),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
        for text in [
            "GET /\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "G\u{e9}T / HTTP/1.1\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        ] {
            assert!(matches!(parse(text), Err(BadRequest::Malformed(_))), "{text}");
        }
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(MAX_HEAD));
        assert_eq!(Request::parse(long.as_bytes()), Err(BadRequest::TooLong));
        assert_eq!(Request::parse(format!("{long}\r\n\r\n").as_bytes()), Err(BadRequest::TooLong));
        let blank = "\r\n".repeat(MAX_HEAD);
        assert_eq!(Request::parse(blank.as_bytes()), Err(BadRequest::TooLong));
    }

    proptest! {
        /// However a head is cut into pieces, it is read once and whole, and what follows stays.
        #[test]
        fn pieces_make_no_difference(path in "/[a-z?=&]{0,20}", more in any::<Vec<u8>>()) {
            let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            for end in 0..head.len() {
                prop_assert_eq!(Request::parse(&head.as_bytes()[..end]), Ok(None));
            }
            let bytes = [head.as_bytes(), &more].concat();
            let (request, taken) = Request::parse(&bytes).unwrap().unwrap();
            prop_assert_eq!(taken, head.len());
            prop_assert_eq!(request.path.as_str(), path.split('?').next().unwrap());
        }

        #[test]
        fn nothing_that_comes_does_harm(bytes in any::<Vec<u8>>(), text in "[A-Z /:.\\r\\n0-9]{0,80}") {
            let _ = Request::parse(&bytes);
            let _ = Request::parse(text.as_bytes());
            let _ = Request::parse(format!("GET / HTTP/1.1\r\n{text}\r\n\r\n").as_bytes());
        }
    }
}
