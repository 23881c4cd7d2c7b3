//! Text to [`Expr`]. The depth is counted, and bounds the recursion.
//!
//! ```text
//! or        = and { OR and }
//! and       = not { AND not }
//! not       = { NOT } condition
//! condition = '(' or ')' | TRUE | FALSE | field [ test ]
//! test      = op value | IS [NOT] NULL | [NOT] negatable
//! negatable = IN '(' value { ',' value } ')' | LIKE string | BETWEEN value AND value | CONTAINS string
//! ```

use core::mem;

use super::build::Chain;
use super::error::{Expected, FilterError, FilterFault};
use super::excerpt::shortened;
use super::expr::{Expr, FieldRef, Literal, Span, Spanned, Test, TestKind};
use super::lex::{Keyword, Lexer, Token, is_not_finite};
use super::like::Pattern;
use super::{MAX_DEPTH, MAX_FILTER_BYTES, MAX_LIKE_PIECE, MAX_LITERALS};

type Result<T> = core::result::Result<T, FilterError>;

/// Reads the whole of a text.
pub(super) fn parse(text: &str) -> Result<Expr> {
    if text.len() > MAX_FILTER_BYTES {
        return Err(too_long(text));
    }
    if let Some(at) = text.find('\0') {
        return Err(FilterError::new(text, Span::new(at, at + 1), FilterFault::NulCharacter));
    }
    let mut lexer = Lexer::new(text, 0);
    let token = lexer.next()?;
    if token.value == Token::End {
        return Err(FilterError::new(text, token.span, FilterFault::Empty));
    }
    let mut parser = Parser { text, lexer, token, before: Span::default(), after: "", depth: 0, literals: 0 };
    let expr = parser.chain(Chain::Or)?;
    match parser.token.value {
        Token::End => Ok(expr),
        _ => Err(parser.unexpected(Expected::ChainOrEnd)),
    }
}

/// Of a text that is too long, or of the beginning of one.
pub(super) fn too_long(text: &str) -> FilterError {
    let end = text.len().min(MAX_FILTER_BYTES);
    FilterError::new(text, Span::new(end, end), FilterFault::TooLong)
}

struct Parser<'t> {
    text: &'t str,
    lexer: Lexer<'t>,
    /// The next token.
    token: Spanned<Token<'t>>,
    /// Where the last string is, if it was the token before.
    before: Span,
    /// What a condition is expected after.
    after: &'static str,
    /// How many parentheses and NOTs are around.
    depth: usize,
    /// How many values there were.
    literals: usize,
}

impl<'t> Parser<'t> {
    fn chain(&mut self, chain: Chain) -> Result<Expr> {
        let word = chain.keyword();
        let first = self.link(chain)?;
        if !self.at(word) {
            return Ok(first);
        }
        let mut parts = Vec::new();
        chain.append(&mut parts, first);
        while self.take(word)? {
            self.after = word.name();
            let part = self.link(chain)?;
            chain.append(&mut parts, part);
        }
        Ok(chain.of(parts))
    }

    fn link(&mut self, chain: Chain) -> Result<Expr> {
        match chain {
            Chain::Or => self.chain(Chain::And),
            Chain::And => self.negation(),
        }
    }

    fn negation(&mut self) -> Result<Expr> {
        if !self.at(Keyword::Not) {
            return self.condition();
        }
        self.enter("NOT")?;
        let inner = self.negation()?;
        self.depth -= 1;
        Ok(inner.negate())
    }

    fn condition(&mut self) -> Result<Expr> {
        match &self.token.value {
            Token::Open => self.parentheses(),
            Token::Word("id") => self.test(FieldRef::Id),
            Token::Word(word) => self.test(FieldRef::Name((*word).to_owned())),
            Token::Name(name) => self.test(FieldRef::Name(name.clone())),
            Token::Keyword(Keyword::True) => self.constant(true),
            Token::Keyword(Keyword::False) => self.constant(false),
            Token::Text(_) | Token::Number(..) => Err(self.value_first(self.token.span)),
            _ => Err(self.unexpected(Expected::Condition(self.after))),
        }
    }

    fn parentheses(&mut self) -> Result<Expr> {
        let open = self.token.span;
        self.enter("(")?;
        let inner = self.chain(Chain::Or)?;
        match self.token.value {
            Token::Close => self.advance()?,
            Token::End => return Err(self.error(open, FilterFault::UnclosedParenthesis)),
            _ => return Err(self.unexpected(Expected::ChainOrClose)),
        };
        self.depth -= 1;
        Ok(inner)
    }

    fn constant(&mut self, value: bool) -> Result<Expr> {
        let word = self.advance()?.span;
        match self.token.value {
            Token::Op(..) | Token::Keyword(Keyword::In | Keyword::Is) => Err(self.value_first(word)),
            _ => Ok(Expr::Constant(value)),
        }
    }

    fn test(&mut self, field: FieldRef) -> Result<Expr> {
        let span = self.advance()?.span;
        let (kind, negated) = match self.token.value {
            Token::Op(op, written) => {
                self.advance()?;
                (TestKind::Compare(op, self.value(written)?), false)
            }
            Token::Keyword(Keyword::Is) => self.null()?,
            Token::Keyword(Keyword::Not) => {
                self.advance()?;
                (self.negatable(Expected::NegatedOperator)?, true)
            }
            Token::Keyword(Keyword::And | Keyword::Or) | Token::Close | Token::End => (TestKind::IsTrue, false),
            _ => (self.negatable(Expected::Operator)?, false),
        };
        let test = Expr::Test(Test { field, span, kind });
        Ok(if negated { test.negate() } else { test })
    }

    fn null(&mut self) -> Result<(TestKind, bool)> {
        self.advance()?;
        let negated = self.take(Keyword::Not)?;
        if !self.take(Keyword::Null)? {
            return Err(self.unexpected(if negated { Expected::NotNull } else { Expected::Null }));
        }
        Ok((TestKind::IsNull, negated))
    }

    fn negatable(&mut self, expected: Expected) -> Result<TestKind> {
        let Token::Keyword(word) = self.token.value else { return Err(self.unexpected(expected)) };
        match word {
            Keyword::In => self.list(),
            Keyword::Like => self.like(),
            Keyword::Between => {
                self.advance()?;
                let low = self.value("BETWEEN")?;
                if !self.take(Keyword::And)? {
                    return Err(self.unexpected(Expected::UpperBound));
                }
                Ok(TestKind::Between(low, self.value("AND")?))
            }
            Keyword::Contains => {
                self.advance()?;
                Ok(TestKind::Contains(self.string("CONTAINS")?))
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    fn list(&mut self) -> Result<TestKind> {
        self.advance()?;
        let open = self.token.span;
        if self.token.value != Token::Open {
            return Err(self.unexpected(Expected::List));
        }
        self.advance()?;
        if self.token.value == Token::Close {
            let span = Span { start: open.start, end: self.token.span.end };
            return Err(self.error(span, FilterFault::EmptyList));
        }
        let mut values = vec![self.value("(")?];
        while self.token.value == Token::Comma {
            self.advance()?;
            values.push(self.value(",")?);
        }
        match self.token.value {
            Token::Close => self.advance()?,
            Token::End => return Err(self.error(open, FilterFault::UnclosedParenthesis)),
            _ => return Err(self.unexpected(Expected::ListGoesOn)),
        };
        Ok(TestKind::In(values))
    }

    fn like(&mut self) -> Result<TestKind> {
        self.advance()?;
        let source = self.string("LIKE")?;
        let pattern = Spanned { value: Pattern::new(source.value), span: source.span };
        if pattern.ends_in_escape() {
            return Err(self.error(pattern.span, FilterFault::LoneEscape));
        }
        if pattern.longest_sought() > MAX_LIKE_PIECE {
            return Err(self.error(pattern.span, FilterFault::PatternTooLong));
        }
        Ok(TestKind::Like(pattern))
    }

    fn value(&mut self, after: &'static str) -> Result<Spanned<Literal>> {
        match self.token.value {
            Token::Text(_) | Token::Number(..) | Token::Keyword(Keyword::True | Keyword::False) => self.count()?,
            _ => return Err(self.no_value(after, Expected::Value(after))),
        }
        let Spanned { value, span } = self.advance()?;
        let value = match value {
            Token::Text(text) => Literal::Str(text),
            Token::Number(number, _) => number,
            other => Literal::Bool(other == Token::Keyword(Keyword::True)),
        };
        Ok(Spanned { value, span })
    }

    fn string(&mut self, after: &'static str) -> Result<Spanned<String>> {
        let Token::Text(text) = &mut self.token.value else {
            return Err(self.no_value(after, Expected::Text(after)));
        };
        let value = mem::take(text);
        self.count()?;
        let span = self.advance()?.span;
        Ok(Spanned { value, span })
    }

    /// One more value.
    fn count(&mut self) -> Result<()> {
        self.literals += 1;
        if self.literals > MAX_LITERALS {
            return Err(self.error(self.token.span, FilterFault::TooManyLiterals));
        }
        Ok(())
    }

    /// Takes a parenthesis or a NOT: what follows lies one level deeper.
    fn enter(&mut self, word: &'static str) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(self.token.span, FilterFault::TooDeep));
        }
        self.advance()?;
        self.after = word;
        Ok(())
    }

    fn at(&self, word: Keyword) -> bool {
        self.token.value == Token::Keyword(word)
    }

    /// Takes the word, if it is next.
    fn take(&mut self, word: Keyword) -> Result<bool> {
        let there = self.at(word);
        if there {
            self.advance()?;
        }
        Ok(there)
    }

    /// Takes the next token, whatever it is.
    fn advance(&mut self) -> Result<Spanned<Token<'t>>> {
        let taken = mem::replace(&mut self.token, self.lexer.next()?);
        self.before = if matches!(taken.value, Token::Text(_)) { taken.span } else { Span::default() };
        Ok(taken)
    }

    fn error(&self, span: Span, fault: FilterFault) -> FilterError {
        FilterError::new(self.text, span, fault)
    }

    /// The next token is not what should come.
    fn unexpected(&self, expected: Expected) -> FilterError {
        let fault = match self.token.value.found() {
            None => FilterFault::UnexpectedEnd { expected },
            // 'it's': a string cannot touch what follows it, but for a sign.
            Some(_) if self.touches_string() => FilterFault::QuoteInString,
            Some(found) => FilterFault::Unexpected { found, expected },
        };
        self.error(self.token.span, fault)
    }

    fn touches_string(&self) -> bool {
        let written = matches!(self.token.value, Token::Word(_) | Token::Number(..) | Token::Keyword(_));
        written && self.before != Span::default() && self.before.end == self.token.span.start
    }

    /// The next token is no value.
    fn no_value(&self, after: &str, expected: Expected) -> FilterError {
        let fault = match &self.token.value {
            Token::Keyword(Keyword::Null) => {
                let negated = matches!(after, "!=" | "<>");
                FilterFault::NullComparison { instead: if negated { "IS NOT NULL" } else { "IS NULL" } }
            }
            Token::Word(word) if is_not_finite(word) => FilterFault::NotFinite,
            Token::Name(name) => FilterFault::QuotedValue { name: shortened(name), expected },
            _ => return self.unexpected(expected),
        };
        self.error(self.token.span, fault)
    }

    /// A value where a field should stand; the hint swaps the sides if it can.
    fn value_first(&self, span: Span) -> FilterError {
        let value = shortened(self.text.get(span.range()).unwrap_or_default());
        // A value may be taken already or not: what follows is read anew, from behind it.
        let mut ahead = Lexer::new(self.text, span.range().end);
        let (operator, field) = (ahead.next(), ahead.next());
        let field = field.ok().map(|token| token.span).and_then(|span| self.text.get(span.range()));
        let field = field.filter(|field| !field.is_empty()).map_or("field".to_owned(), shortened);
        let instead = match operator.map(|token| token.value) {
            Ok(Token::Op(op, _)) => format!("{field} {} {value}", op.mirrored().symbol()),
            Ok(Token::Keyword(Keyword::In)) => format!("{field} CONTAINS {value}"),
            _ => format!("field = {value}"),
        };
        self.error(span, FilterFault::ValueFirst { instead })
    }
}

impl Chain {
    fn keyword(self) -> Keyword {
        match self {
            Chain::And => Keyword::And,
            Chain::Or => Keyword::Or,
        }
    }
}
