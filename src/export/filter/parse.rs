//! From words to a tree whose leaves fit the columns' types.
//!
//! ```text
//! or        := and ("or" and)*
//! and       := not ("and" not)*
//! not       := "not" not | test
//! test      := "(" or ")" | operand [comparison operand | "is" ["not"] "null"
//!              | ["not"] "in" "(" value ("," value)* ")" | ["not"] "between" value "and" value]
//! operand   := column | value
//! ```
//!
//! Invariant: in every comparison both sides have one Arrow type.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float32Array, Float64Array, Int64Array, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Schema};

use super::token::Token;
use crate::limits::settings::CONDITION_LEVELS;
use crate::words::{did_you_mean, suggesting};

/// A condition.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// Flat, so that a list of a million ids is not a million levels deep.
    Any(Vec<Node>),
    All(Vec<Node>),
    Not(Box<Node>),
    Compare(Leaf, Comparison, Leaf),
    /// Whether the column has no value.
    IsNull(usize),
    /// A column of truth values, or a value.
    Is(Leaf),
}

/// A side of a comparison.
#[derive(Debug, Clone)]
pub(super) enum Leaf {
    /// A column by its place in the schema, compared as this type.
    Column(usize, DataType),
    /// An array of one value.
    Value(ArrayRef),
}

/// How two sides are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn of(sign: &str) -> Option<Self> {
        Some(match sign {
            "=" | "==" => Self::Equal,
            "!=" | "<>" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }
}

impl Node {
    /// Adds the columns that it looks at.
    pub(super) fn columns(&self, out: &mut Vec<usize>) {
        let mut leaf = |leaf: &Leaf| {
            if let Leaf::Column(column, _) = leaf {
                out.push(*column);
            }
        };
        match self {
            Self::Compare(a, _, b) => {
                leaf(a);
                leaf(b);
            }
            Self::Is(a) => leaf(a),
            Self::IsNull(column) => out.push(*column),
            Self::Not(a) => a.columns(out),
            Self::Any(nodes) | Self::All(nodes) => nodes.iter().for_each(|n| n.columns(out)),
        }
    }
}

type Parsed<T> = Result<T, (usize, String)>;

/// The tree of all the tokens.
pub(super) fn parse(tokens: &[(usize, Token)], schema: &Schema) -> Parsed<Node> {
    let mut parser = Parser { tokens, schema, at: 0, depth: 0 };
    let node = parser.or()?;
    match parser.peek() {
        Token::End => Ok(node),
        other => Err((parser.place(), format!("{} where the condition should end", shown(other)))),
    }
}

struct Parser<'a> {
    tokens: &'a [(usize, Token)],
    schema: &'a Schema,
    at: usize,
    depth: usize,
}

/// What is written on a side of a comparison, before its type is known.
#[derive(Debug, Clone)]
enum Operand {
    Column(usize),
    Number(String),
    Text(String),
    Truth(bool),
}

impl<'a> Parser<'a> {
    fn peek(&self) -> &'a Token {
        // The last token is `End`, and nothing goes past it.
        &self.tokens[self.at.min(self.tokens.len() - 1)].1
    }

    fn place(&self) -> usize {
        self.tokens[self.at.min(self.tokens.len() - 1)].0
    }

    fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self.peek(), Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let found = self.is_keyword(keyword);
        self.at += usize::from(found);
        found
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(s) if *s == sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, found: bool, what: &str) -> Parsed<()> {
        if found {
            return Ok(());
        }
        Err((self.place(), format!("{} where {what} is due", shown(self.peek()))))
    }

    fn or(&mut self) -> Parsed<Node> {
        self.depth += 1;
        if self.depth > CONDITION_LEVELS {
            return Err((self.place(), format!("more than {CONDITION_LEVELS} levels of nesting")));
        }
        let mut nodes = vec![self.and()?];
        while self.keyword("or") {
            nodes.push(self.and()?);
        }
        self.depth -= 1;
        Ok(Node::Any(nodes))
    }

    fn and(&mut self) -> Parsed<Node> {
        let mut nodes = vec![self.not()?];
        while self.keyword("and") {
            nodes.push(self.not()?);
        }
        Ok(Node::All(nodes))
    }

    fn not(&mut self) -> Parsed<Node> {
        let mut negated = false;
        while self.keyword("not") {
            negated = !negated;
        }
        let node = self.test()?;
        Ok(if negated { Node::Not(Box::new(node)) } else { node })
    }

    fn test(&mut self) -> Parsed<Node> {
        if self.sign("(") {
            let node = self.or()?;
            let closed = self.sign(")");
            self.expect(closed, "`)`")?;
            return Ok(node);
        }
        let (place, left) = (self.place(), self.operand()?);
        if self.keyword("is") {
            let negated = self.keyword("not");
            let null = self.keyword("null");
            self.expect(null, "`null`")?;
            let Operand::Column(column) = left else {
                return Err((place, "only a column can be null".into()));
            };
            let node = Node::IsNull(column);
            return Ok(if negated { Node::Not(Box::new(node)) } else { node });
        }
        let negated = self.keyword("not");
        let node = if self.keyword("in") {
            self.list(place, &left)?
        } else if self.keyword("between") {
            let low = self.compared(place, &left, Comparison::GreaterOrEqual)?;
            let and = self.keyword("and");
            self.expect(and, "`and`")?;
            let high = self.compared(place, &left, Comparison::LessOrEqual)?;
            Node::All(vec![low, high])
        } else if negated {
            return Err((
                self.place(),
                format!("{} where `in` or `between` is due", shown(self.peek())),
            ));
        } else if let Token::Sign(sign) = self.peek()
            && let Some(comparison) = Comparison::of(sign)
        {
            self.at += 1;
            self.compared(place, &left, comparison)?
        } else {
            return self.truth(place, left);
        };
        Ok(if negated { Node::Not(Box::new(node)) } else { node })
    }

    /// `(value, …)` after `in`.
    fn list(&mut self, place: usize, left: &Operand) -> Parsed<Node> {
        let open = self.sign("(");
        self.expect(open, "`(`")?;
        let mut nodes = Vec::new();
        loop {
            nodes.push(self.compared(place, left, Comparison::Equal)?);
            if !self.sign(",") {
                break;
            }
        }
        let closed = self.sign(")");
        self.expect(closed, "`,` or `)`")?;
        Ok(Node::Any(nodes))
    }

    /// `left` compared with the operand that comes next.
    fn compared(&mut self, place: usize, left: &Operand, how: Comparison) -> Parsed<Node> {
        let (right_place, right) = (self.place(), self.operand()?);
        let common = self.common_type(place, left, right_place, &right)?;
        let ordered = !matches!(how, Comparison::Equal | Comparison::NotEqual);
        if ordered && common == DataType::Boolean {
            return Err((place, "truth values are equal or not, neither is greater".into()));
        }
        let left = Self::leaf(place, left, &common)?;
        let right = Self::leaf(right_place, &right, &common)?;
        Ok(Node::Compare(left, how, right))
    }

    /// A column or value that is a condition by itself.
    fn truth(&mut self, place: usize, operand: Operand) -> Parsed<Node> {
        match operand {
            Operand::Truth(value) => {
                Ok(Node::Is(Leaf::Value(Arc::new(BooleanArray::from(vec![value])))))
            }
            Operand::Column(column) => {
                let field = self.schema.field(column);
                if field.data_type() != &DataType::Boolean {
                    let after = self.place();
                    return Err((
                        after,
                        format!(
                            "{} where a comparison of column `{}` is due",
                            shown(self.peek()),
                            field.name()
                        ),
                    ));
                }
                Ok(Node::Is(Leaf::Column(column, DataType::Boolean)))
            }
            _ => Err((place, "a value by itself is no condition".into())),
        }
    }

    fn operand(&mut self) -> Parsed<Operand> {
        let place = self.place();
        let operand = match self.peek() {
            Token::Word(word) if word.eq_ignore_ascii_case("true") => Operand::Truth(true),
            Token::Word(word) if word.eq_ignore_ascii_case("false") => Operand::Truth(false),
            Token::Word(word) if word.eq_ignore_ascii_case("null") => {
                return Err((place, "nothing is equal to null: write `is null`".into()));
            }
            Token::Word(name) | Token::Quoted(name) => Operand::Column(self.column(place, name)?),
            Token::Text(text) => Operand::Text(text.clone()),
            Token::Number(text) => Operand::Number(text.clone()),
            other => {
                return Err((place, format!("{} where a column or a value is due", shown(other))));
            }
        };
        self.at += 1;
        Ok(operand)
    }

    /// The column of this name; in other case, if just one has it then.
    fn column(&self, place: usize, name: &str) -> Parsed<usize> {
        let fields = self.schema.fields();
        let same = |f: &str| f.to_lowercase() == name.to_lowercase();
        let exact = fields.iter().position(|field| field.name() == name);
        exact.or_else(|| fields.iter().position(|field| same(field.name()))).ok_or_else(|| {
            let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
            let near = did_you_mean(name, names.iter().copied());
            let there_are = suggesting(names.join(", "), near.as_deref());
            // What resembles none may have been meant as a text.
            let text = match near {
                Some(_) => String::new(),
                None => format!(" (a text stands in single quotes: '{name}')"),
            };
            (place, format!("there is no column `{name}`{text}: there are {there_are}"))
        })
    }

    /// The type in which two operands are compared.
    fn common_type(
        &self,
        left_place: usize,
        left: &Operand,
        right_place: usize,
        right: &Operand,
    ) -> Parsed<DataType> {
        use DataType::{Boolean, Float32, Float64, Int64, Utf8};
        let type_of = |column: usize| self.schema.field(column).data_type().clone();
        let whole = |t: &DataType| t.is_integer();
        let temporal = |t: &DataType| matches!(t, DataType::Date32 | DataType::Timestamp(..));
        let mismatch = |place: usize, column: usize, other: &str| {
            let field = self.schema.field(column);
            let kind = kind(field.data_type());
            Err((place, format!("column `{}` is {kind} and not {other}", field.name())))
        };
        match (left, right) {
            (Operand::Column(a), Operand::Column(b)) => {
                let (ta, tb) = (type_of(*a), type_of(*b));
                match (&ta, &tb) {
                    (DataType::FixedSizeList(..), _) => mismatch(right_place, *a, "compared"),
                    _ if ta == tb && !whole(&ta) => Ok(ta),
                    _ if whole(&ta) && whole(&tb) => Ok(Int64),
                    _ if ta.is_numeric() && tb.is_numeric() => Ok(Float64),
                    _ => mismatch(
                        right_place,
                        *b,
                        &format!("{} as `{}`", kind(&ta), self.schema.field(*a).name()),
                    ),
                }
            }
            (Operand::Column(column), value) | (value, Operand::Column(column)) => {
                let place =
                    if matches!(left, Operand::Column(_)) { left_place } else { right_place };
                let t = type_of(*column);
                match value {
                    Operand::Number(text) if whole(&t) => {
                        Ok(if whole_number(text).is_some() { Int64 } else { Float64 })
                    }
                    Operand::Number(_) if matches!(t, Float32 | Float64) => Ok(t),
                    Operand::Number(_) => mismatch(place, *column, "a number"),
                    Operand::Text(_) if t == Utf8 || temporal(&t) => Ok(t),
                    Operand::Text(_) => mismatch(place, *column, "text"),
                    Operand::Truth(_) if t == Boolean => Ok(t),
                    _ => mismatch(place, *column, "true or false"),
                }
            }
            _ => Err((left_place, "two values are compared, and no column".into())),
        }
    }

    fn leaf(place: usize, operand: &Operand, common: &DataType) -> Parsed<Leaf> {
        let bad_number = |text: &str| (place, format!("`{text}` is no number"));
        let value: ArrayRef = match operand {
            Operand::Column(column) => return Ok(Leaf::Column(*column, common.clone())),
            Operand::Truth(value) => Arc::new(BooleanArray::from(vec![*value])),
            Operand::Number(text) => match common {
                DataType::Int64 => Arc::new(Int64Array::from(vec![
                    whole_number(text).ok_or_else(|| bad_number(text))?,
                ])),
                DataType::Float32 => Arc::new(Float32Array::from(vec![
                    number::<f32>(text).ok_or_else(|| bad_number(text))?,
                ])),
                _ => Arc::new(Float64Array::from(vec![
                    number::<f64>(text).ok_or_else(|| bad_number(text))?,
                ])),
            },
            Operand::Text(text) if common == &DataType::Utf8 => {
                Arc::new(StringArray::from(vec![text.as_str()]))
            }
            Operand::Text(text) => {
                let options = CastOptions { safe: false, ..CastOptions::default() };
                let texts = StringArray::from(vec![text.as_str()]);
                cast_with_options(&texts, common, &options).map_err(|_| {
                    (place, format!("'{text}' is no date or time, such as '2020-12-31'"))
                })?
            }
        };
        Ok(Leaf::Value(value))
    }
}

/// A number as it is written in decimal: no `inf`, `nan` or `1_000`.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let decimal = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
    text.chars().all(decimal).then(|| text.parse().ok()).flatten()
}

/// A whole number of 64 bits, also where it is written with a point and zeros: as a float
/// it would lose digits.
fn whole_number(text: &str) -> Option<i64> {
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|b| b == b'0') => whole,
        _ => text,
    };
    whole.parse().ok()
}

fn kind(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Utf8 => "text",
        DataType::Boolean => "true or false",
        DataType::Date32 | DataType::Timestamp(..) => "a date or time",
        DataType::FixedSizeList(..) => "a vector",
        _ => "a number",
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Word(text) | Token::Quoted(text) | Token::Number(text) => format!("`{text}`"),
        Token::Text(text) => format!("'{text}'"),
        Token::Sign(sign) => format!("`{sign}`"),
        Token::End => "the end".to_owned(),
    }
}
