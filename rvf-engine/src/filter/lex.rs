//! [`Lexer`]: the text of a filter as tokens, one after the other. It knows no grammar.

use super::error::{FilterError, FilterFault, Found};
use super::excerpt::shortened;
use super::expr::{Literal, Op, Span, Spanned};

/// A word, a sign, a string or a number.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'t> {
    /// A name without quotes, never a keyword.
    Word(&'t str),
    /// A word of the language.
    Keyword(Keyword),
    /// A name in double quotes, without them.
    Name(String),
    /// A string, without its quotes.
    Text(String),
    /// A number, and how it is written.
    Number(Literal, &'t str),
    /// A comparison, and how it is written.
    Op(Op, &'static str),
    /// `(`
    Open,
    /// `)`
    Close,
    /// `,`
    Comma,
    /// The text is over.
    End,
}

/// The words of the language; upper and lower case are the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Keyword {
    And,
    Or,
    Not,
    In,
    Like,
    Between,
    Contains,
    Is,
    Null,
    True,
    False,
}

/// Reads a text from left to right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    /// Where the last token ended, if it was a name without quotes.
    word_end: Option<usize>,
}

/// Operators of other languages, the longer ones first.
const WRONG_OPERATORS: [(&str, &str); 11] = [
    ("=<", "<="),
    ("=>", ">="),
    ("=~", "LIKE"),
    ("~", "LIKE"),
    ("&&", "AND"),
    ("&", "AND"),
    ("||", "OR"),
    ("|", "OR"),
    ("\u{2264}", "<="),
    ("\u{2265}", ">="),
    ("\u{2260}", "!="),
];

/// Operators, the longer ones first.
const OPERATORS: [(&str, Op); 8] = [
    ("==", Op::Eq),
    ("=", Op::Eq),
    ("!=", Op::Ne),
    ("<>", Op::Ne),
    ("<=", Op::Le),
    ("<", Op::Lt),
    (">=", Op::Ge),
    (">", Op::Gt),
];

impl<'t> Lexer<'t> {
    /// At a byte of `text`; at 0 for the whole.
    pub(super) fn new(text: &'t str, at: usize) -> Lexer<'t> {
        Lexer { text, at, word_end: None }
    }

    /// The next token; [`Token::End`] again and again at the end.
    pub(super) fn next(&mut self) -> Result<Spanned<Token<'t>>, FilterError> {
        let before = self.rest();
        let rest = before.trim_start();
        self.at += before.len() - rest.len();
        let start = self.at;
        let after_word = self.word_end.take() == Some(start);
        let Some(first) = rest.chars().next() else {
            // What is missing is missed right after the last token.
            let end = self.text.trim_end().len();
            return Ok(Spanned { value: Token::End, span: Span::new(end, end) });
        };
        let value = match first {
            '(' => self.sign(Token::Open),
            ')' => self.sign(Token::Close),
            ',' => self.sign(Token::Comma),
            '\'' => Token::Text(self.quoted('\'', FilterFault::UnterminatedString)?),
            '"' => Token::Name(self.quoted('"', FilterFault::UnterminatedName)?),
            '-' if after_word => return Err(self.hyphen()),
            '0'..='9' | '.' | '+' | '-' => self.number(first)?,
            _ if begins_word(first) => self.word(),
            _ => self.operator(first)?,
        };
        Ok(Spanned { value, span: Span::new(start, self.at) })
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Takes the next `bytes` bytes.
    fn take(&mut self, bytes: usize) -> &'t str {
        let taken = self.rest().get(..bytes).unwrap_or_default();
        self.at += taken.len();
        taken
    }

    /// Takes the characters up to the first one that is not `of`.
    fn take_while(&mut self, of: impl Fn(char) -> bool) -> &'t str {
        self.take(length_of(self.rest(), of))
    }

    fn sign(&mut self, token: Token<'t>) -> Token<'t> {
        self.at += 1;
        token
    }

    /// What stands between two quotes; a doubled one in it stands for one.
    fn quoted(&mut self, quote: char, unterminated: FilterFault) -> Result<String, FilterError> {
        let open = self.at;
        let mut content = String::new();
        loop {
            self.at += 1;
            let Some(length) = self.rest().find(quote) else {
                return Err(FilterError::new(self.text, Span::new(open, open + 1), unterminated));
            };
            content.push_str(self.take(length));
            self.at += 1;
            if !self.rest().starts_with(quote) {
                return Ok(content);
            }
            content.push(quote);
        }
    }

    fn word(&mut self) -> Token<'t> {
        let word = self.take_while(continues_word);
        if let Some(keyword) = Keyword::of(word) {
            return Token::Keyword(keyword);
        }
        self.word_end = Some(self.at);
        Token::Word(word)
    }

    /// The whole of a name that has a `-` here.
    fn hyphen(&self) -> FilterError {
        let before = self.text.get(..self.at).unwrap_or_default();
        let start = before.trim_end_matches(continues_word).len();
        let end = self.at + length_of(self.rest(), |letter| letter == '-' || continues_word(letter));
        let name = shortened(self.text.get(start..end).unwrap_or_default());
        FilterError::new(self.text, Span::new(start, end), FilterFault::HyphenInName { name })
    }

    fn number(&mut self, first: char) -> Result<Token<'t>, FilterError> {
        let start = self.at;
        let sign = usize::from(matches!(first, '+' | '-'));
        let digits = self.rest().get(sign..).unwrap_or_default();
        if !digits.starts_with(|next: char| next == '.' || next.is_ascii_alphanumeric()) {
            return self.operator(first);
        }
        let mut length = sign + length_of(digits, of_number);
        // A sign goes on only in an exponent. Elsewhere digits behind it are a date, a time or a difference: no number.
        while let Some(after) = self.rest().get(length..).and_then(|rest| rest.strip_prefix(['+', '-', ':', '/'])) {
            if !after.starts_with(|next: char| next.is_ascii_digit()) {
                break;
            }
            length += 1 + length_of(after, of_number);
        }
        let written = self.take(length);
        let number = read_number(written).map(|number| Token::Number(number, written));
        number.map_err(|fault| FilterError::new(self.text, Span::new(start, self.at), fault))
    }

    fn operator(&mut self, first: char) -> Result<Token<'t>, FilterError> {
        let rest = self.rest();
        let wrong = WRONG_OPERATORS.into_iter().find(|(written, _)| rest.starts_with(written));
        if let Some((found, instead)) = wrong {
            return Err(self.refuse(found.len(), FilterFault::WrongOperator { found, instead }));
        }
        if let Some((written, op)) = OPERATORS.into_iter().find(|(written, _)| rest.starts_with(written)) {
            self.take(written.len());
            return Ok(Token::Op(op, written));
        }
        Err(self.refuse(
            first.len_utf8(),
            match first {
                '!' => FilterFault::WrongOperator { found: "!", instead: "NOT" },
                '\0' => FilterFault::NulCharacter,
                '`' | '\u{b4}' | '\u{ab}' | '\u{bb}' | '\u{2018}'..='\u{201f}' | '\u{2032}'..='\u{203a}' => {
                    FilterFault::WrongQuote { found: first }
                }
                _ => FilterFault::UnknownCharacter { found: first },
            },
        ))
    }

    /// A fault of the next `length` bytes.
    fn refuse(&self, length: usize, fault: FilterFault) -> FilterError {
        FilterError::new(self.text, Span::new(self.at, self.at + length), fault)
    }
}

impl Keyword {
    const ALL: [Keyword; 11] = [
        Keyword::And,
        Keyword::Or,
        Keyword::Not,
        Keyword::In,
        Keyword::Like,
        Keyword::Between,
        Keyword::Contains,
        Keyword::Is,
        Keyword::Null,
        Keyword::True,
        Keyword::False,
    ];

    fn of(word: &str) -> Option<Keyword> {
        Keyword::ALL.into_iter().find(|keyword| keyword.name().eq_ignore_ascii_case(word))
    }

    /// In upper case.
    pub(super) fn name(self) -> &'static str {
        match self {
            Keyword::And => "AND",
            Keyword::Or => "OR",
            Keyword::Not => "NOT",
            Keyword::In => "IN",
            Keyword::Like => "LIKE",
            Keyword::Between => "BETWEEN",
            Keyword::Contains => "CONTAINS",
            Keyword::Is => "IS",
            Keyword::Null => "NULL",
            Keyword::True => "TRUE",
            Keyword::False => "FALSE",
        }
    }
}

impl Token<'_> {
    /// For a message; nothing at the end of the text.
    pub(super) fn found(&self) -> Option<Found> {
        Some(match self {
            Token::Word(word) => Found::Word(shortened(word)),
            Token::Keyword(keyword) => Found::Keyword(keyword.name()),
            Token::Name(name) => Found::Name(shortened(name)),
            Token::Text(text) => Found::Text(shortened(text)),
            Token::Number(_, written) => Found::Number(shortened(written)),
            Token::Op(_, written) => Found::Symbol(written),
            Token::Open => Found::Symbol("("),
            Token::Close => Found::Symbol(")"),
            Token::Comma => Found::Symbol(","),
            Token::End => return None,
        })
    }
}

/// Whether a name needs no quotes: it is a word, and no keyword.
pub(super) fn is_word(name: &str) -> bool {
    name.starts_with(begins_word) && name.chars().all(continues_word) && Keyword::of(name).is_none()
}

fn begins_word(letter: char) -> bool {
    letter == '_' || letter.is_alphabetic()
}

fn continues_word(letter: char) -> bool {
    begins_word(letter) || letter == '.' || letter.is_ascii_digit()
}

fn of_number(letter: char) -> bool {
    letter == '.' || letter == '_' || letter.is_ascii_alphanumeric()
}

/// How many bytes the characters up to the first one that is not `of` take.
fn length_of(text: &str, of: impl Fn(char) -> bool) -> usize {
    text.find(|letter| !of(letter)).unwrap_or(text.len())
}

fn read_number(written: &str) -> Result<Literal, FilterFault> {
    let digits = written.trim_start_matches(['+', '-']);
    if !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) {
        let whole = written.parse().map(Literal::I64).or_else(|_| written.parse().map(Literal::U64));
        return whole.map_err(|_| FilterFault::NumberOutOfRange);
    }
    if is_not_finite(digits) {
        return Err(FilterFault::NotFinite);
    }
    let decimal = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    match written.parse::<f64>() {
        Ok(number) if decimal && number.is_finite() => Ok(Literal::F64(number)),
        Ok(_) if decimal => Err(FilterFault::NumberOutOfRange),
        _ => Err(FilterFault::BadNumber { found: shortened(written) }),
    }
}

/// Whether a word stands for an infinite number, or for none.
pub(super) fn is_not_finite(word: &str) -> bool {
    ["nan", "inf", "infinity"].into_iter().any(|name| name.eq_ignore_ascii_case(word))
}
