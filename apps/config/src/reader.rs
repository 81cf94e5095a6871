//! Reading JSON text byte by byte: strings, and values passed over.
//!
//! What is accepted, the words of an error and its place are those of `serde_json`, which the
//! tests compare with: small programs need nothing else of it.

/// What is wrong, and the place: just behind the byte at fault, as an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) words: &'static str,
    pub(crate) at: usize,
}

const END_IN_OBJECT: &str = "EOF while parsing an object";
const END_IN_LIST: &str = "EOF while parsing a list";
const END_IN_STRING: &str = "EOF while parsing a string";
pub(crate) const END_IN_VALUE: &str = "EOF while parsing a value";
const INVALID_NUMBER: &str = "invalid number";
const INVALID_ESCAPE: &str = "invalid escape";
const LONE_SURROGATE: &str = "lone leading surrogate in hex escape";
const HALF_OF_A_PAIR: &str = "unexpected end of hex escape";

/// A text and how far it has been read.
#[derive(Debug)]
pub(crate) struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is no white space, which stays unread.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    /// Passes over the byte that [`Self::peek`] answered.
    pub(crate) fn eat(&mut self) {
        self.at += 1;
    }

    /// An error about what was read last.
    pub(crate) fn error(&self, words: &'static str) -> SyntaxError {
        SyntaxError { words, at: self.at.min(self.text.len()) }
    }

    /// An error about what would be read next.
    pub(crate) fn error_ahead(&self, words: &'static str) -> SyntaxError {
        SyntaxError { words, at: (self.at + 1).min(self.text.len()) }
    }

    /// Whether another member of an object follows, `{` or members before it being read; it begins
    /// with a quote. Passes over the `}` behind the last one.
    pub(crate) fn has_member(&mut self, is_first: bool) -> Result<bool, SyntaxError> {
        const KEY: &str = "key must be a string";
        match self.peek() {
            None => Err(self.error_ahead(END_IN_OBJECT)),
            Some(b'}') => {
                self.eat();
                Ok(false)
            }
            Some(b'"') if is_first => Ok(true),
            Some(_) if is_first => Err(self.error_ahead(KEY)),
            Some(b',') => {
                self.eat();
                match self.peek() {
                    Some(b'"') => Ok(true),
                    Some(b'}') => Err(self.error_ahead("trailing comma")),
                    Some(_) => Err(self.error_ahead(KEY)),
                    None => Err(self.error_ahead(END_IN_VALUE)),
                }
            }
            Some(_) => Err(self.error_ahead("expected `,` or `}`")),
        }
    }

    /// The colon between a key and its value.
    pub(crate) fn colon(&mut self) -> Result<(), SyntaxError> {
        match self.peek() {
            Some(b':') => {
                self.eat();
                Ok(())
            }
            Some(_) => Err(self.error_ahead("expected `:`")),
            None => Err(self.error_ahead(END_IN_OBJECT)),
        }
    }

    /// The characters of a string whose quote comes next.
    pub(crate) fn string(&mut self) -> Result<String, SyntaxError> {
        self.eat();
        let mut out = String::new();
        loop {
            out.push_str(self.plain());
            match self.next() {
                None => return Err(self.error(END_IN_STRING)),
                Some(b'"') => return Ok(out),
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(self.error(CONTROL)),
            }
        }
    }

    /// Passes over a value of any kind, and answers its text. Escapes in its strings are looked at
    /// one by one: halves of a pair are found by [`Self::string`].
    pub(crate) fn value(&mut self) -> Result<&'t str, SyntaxError> {
        self.peek();
        let start = self.at;
        // The brackets that are open.
        let mut open = Vec::new();
        loop {
            let mut may_end = true;
            match self.peek() {
                Some(bracket @ (b'[' | b'{')) => {
                    self.eat();
                    open.push(bracket);
                    may_end = false;
                }
                _ => self.single()?,
            }
            if !self.continues(&mut open, may_end)? {
                return Ok(&self.text[start..self.at]);
            }
        }
    }

    /// Closes brackets as far as they are closed here; answers whether a value follows, whose key
    /// has been passed over.
    fn continues(&mut self, open: &mut Vec<u8>, mut may_end: bool) -> Result<bool, SyntaxError> {
        loop {
            let Some(&bracket) = open.last() else { return Ok(false) };
            let (end, at_end, expected) = match bracket {
                b'[' => (b']', END_IN_LIST, "expected `,` or `]`"),
                _ => (b'}', END_IN_OBJECT, "expected `,` or `}`"),
            };
            match self.peek() {
                Some(byte) if byte == end => {
                    self.eat();
                    open.pop();
                    may_end = true;
                    continue;
                }
                Some(b',') if may_end => self.eat(),
                Some(_) if may_end => return Err(self.error_ahead(expected)),
                Some(_) => {}
                None => return Err(self.error_ahead(at_end)),
            }
            if bracket == b'{' {
                match self.peek() {
                    Some(b'"') => self.skip_string()?,
                    Some(_) => return Err(self.error_ahead("key must be a string")),
                    None => return Err(self.error_ahead(END_IN_OBJECT)),
                }
                self.colon()?;
            }
            return Ok(true);
        }
    }

    /// Passes over a value without brackets.
    fn single(&mut self) -> Result<(), SyntaxError> {
        match self.byte() {
            None => Err(self.error_ahead(END_IN_VALUE)),
            Some(b'n') => self.word("null"),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'"') => self.skip_string(),
            Some(b'-') => {
                self.eat();
                self.number()
            }
            Some(b'0'..=b'9') => self.number(),
            Some(_) => Err(self.error_ahead("expected value")),
        }
    }

    fn word(&mut self, word: &str) -> Result<(), SyntaxError> {
        for expected in word.bytes() {
            match self.next() {
                Some(byte) if byte == expected => {}
                Some(_) => return Err(self.error("expected ident")),
                None => return Err(self.error(END_IN_VALUE)),
            }
        }
        Ok(())
    }

    /// A number behind its sign.
    fn number(&mut self) -> Result<(), SyntaxError> {
        match self.next() {
            Some(b'0') if self.is_digit() => return Err(self.error_ahead(INVALID_NUMBER)),
            Some(b'0') => {}
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.error(INVALID_NUMBER)),
        }
        if self.byte() == Some(b'.') {
            self.eat();
            if !self.is_digit() {
                return Err(self.error_ahead(INVALID_NUMBER));
            }
            self.digits();
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.eat();
            if let Some(b'+' | b'-') = self.byte() {
                self.eat();
            }
            match self.next() {
                Some(b'0'..=b'9') => self.digits(),
                _ => return Err(self.error(INVALID_NUMBER)),
            }
        }
        Ok(())
    }

    fn skip_string(&mut self) -> Result<(), SyntaxError> {
        self.eat();
        loop {
            self.plain();
            match self.byte() {
                None => return Err(self.error(END_IN_STRING)),
                Some(b'"') => {
                    self.eat();
                    return Ok(());
                }
                Some(b'\\') => {
                    self.eat();
                    match self.next() {
                        None => return Err(self.error(END_IN_STRING)),
                        Some(b'u') => drop(self.hex()?),
                        Some(byte) if escaped(byte).is_some() => {}
                        Some(_) => return Err(self.error(INVALID_ESCAPE)),
                    }
                }
                Some(_) => return Err(self.error(CONTROL)),
            }
        }
    }

    /// The characters up to the end of the string, an escape or a control character.
    fn plain(&mut self) -> &'t str {
        let rest = &self.text[self.at..];
        let is_special = |byte: u8| byte == b'"' || byte == b'\\' || byte < 0x20;
        let len = rest.bytes().position(is_special).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// What an escape stands for, whose backslash has been read.
    fn escape(&mut self) -> Result<char, SyntaxError> {
        match self.next() {
            None => Err(self.error(END_IN_STRING)),
            Some(b'u') => self.unicode(),
            Some(byte) => escaped(byte).ok_or_else(|| self.error(INVALID_ESCAPE)),
        }
    }

    /// The character of one escape, or of two that make a pair.
    fn unicode(&mut self) -> Result<char, SyntaxError> {
        let first = self.hex()?;
        if let Some(character) = char::from_u32(first) {
            return Ok(character);
        }
        if first >= 0xdc00 {
            return Err(self.error(LONE_SURROGATE));
        }
        for expected in [b'\\', b'u'] {
            match self.next() {
                None => return Err(self.error(END_IN_STRING)),
                Some(byte) if byte != expected => return Err(self.error(HALF_OF_A_PAIR)),
                Some(_) => {}
            }
        }
        let second = self.hex()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(self.error(LONE_SURROGATE));
        }
        let code = 0x1_0000 + ((first - 0xd800) << 10 | (second - 0xdc00));
        char::from_u32(code).ok_or_else(|| self.error(LONE_SURROGATE))
    }

    /// Four hexadecimal digits.
    fn hex(&mut self) -> Result<u32, SyntaxError> {
        let Some(digits) = self.text.as_bytes().get(self.at..self.at + 4) else {
            self.at = self.text.len();
            return Err(self.error(END_IN_STRING));
        };
        self.at += 4;
        digits.iter().try_fold(0, |number, &byte| {
            let digit = char::from(byte).to_digit(16);
            digit.map(|digit| number << 4 | digit).ok_or_else(|| self.error(INVALID_ESCAPE))
        })
    }

    fn digits(&mut self) {
        while self.is_digit() {
            self.at += 1;
        }
    }

    fn is_digit(&self) -> bool {
        self.byte().is_some_and(|byte| byte.is_ascii_digit())
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.byte();
        self.at += usize::from(byte.is_some());
        byte
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

const CONTROL: &str = "control character (\\u0000-\\u001F) found while parsing a string";

/// What a letter behind a backslash stands for.
fn escaped(letter: u8) -> Option<char> {
    Some(match letter {
        b'"' | b'\\' | b'/' => char::from(letter),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => return None,
    })
}
