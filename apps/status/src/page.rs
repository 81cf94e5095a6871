//! The page: one file with its script and style inside.

use crate::http::{Response, Status};

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");
/// The page around them.
const HEAD: &str = include_str!("page/head.html");
const BODY: &str = include_str!("page/body.html");

/// What a browser may do with the page: run this script, apply this style (known by their SHA-256
/// digests), and ask this server for figures.
const POLICY: &str = concat!(
    "Content-Security-Policy: default-src 'none'; ",
    "script-src 'sha256-+cFmwdcHTnFecYnjkhwyvRKzAQ0k9gFObmOMYcZXi5A='; style-src 'sha256-yUxSUYyNTS+FqELkinX8DiYkrgtVRnn34XVIRqgA7w0='; ",
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; ",
    "frame-ancestors 'none'; require-trusted-types-for 'script'"
);

/// The page.
pub(crate) fn page() -> Response {
    let text = text();
    Response::new(Status::OK, "text/html; charset=utf-8", text.into_bytes()).with_header(POLICY)
}

fn text() -> String {
    [HEAD, "<style>", STYLE, "</style>\n", BODY, "<script>", SCRIPT, "</script>\n"].concat()
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let mut bits = [0; 4];
            bits[1..=chunk.len()].copy_from_slice(chunk);
            let bits = u32::from_be_bytes(bits);
            for digit in 0..4 {
                let value = (bits >> (18 - 6 * digit)) & 63;
                let is_padding = digit as usize > chunk.len();
                text.push(if is_padding { '=' } else { char::from(DIGITS[value as usize]) });
            }
        }
        text
    }

    #[test]
    fn the_policy_allows_this_script_and_this_style_only() {
        for (name, text) in [("script", SCRIPT), ("style", STYLE)] {
            let digest = base64(&Sha256::digest(text));
            let wanted = format!("{name}-src 'sha256-{digest}';");
            assert!(POLICY.contains(&wanted), "page.rs must say {wanted}");
        }
        assert_eq!(base64(b"a"), "YQ==");
    }

    #[test]
    fn the_page_is_small_and_needs_nobody() {
        let text = text();
        assert!(text.len() < 20_000, "{} bytes", text.len());
        for outside in ["src=", "@import", "url(", "//cdn", "https://"] {
            assert!(!text.contains(outside), "{outside}");
        }
        let addresses: Vec<_> = text.match_indices("http://").collect();
        let spaces = text.matches("http://www.w3.org/2000/svg").count();
        assert_eq!(addresses.len(), spaces, "no address but the name of SVG");
        // Such attributes would need a policy of their own.
        assert!(!text.contains("style=") && !text.contains("onclick"));
    }
}
