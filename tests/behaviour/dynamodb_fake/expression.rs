//! The service's expressions: tokens, paths, operands and conditions, with the names and values that a request gives.
//!
//! Conditions are compared with AND, OR, NOT, parentheses, `=` `<>` `<` `<=` `>` `>=`, BETWEEN, IN, and the functions
//! `attribute_exists`, `attribute_not_exists`, `begins_with`, `contains` and `size`. (`attribute_type` is not known.)

use super::answer::Refusal;
use super::placeholders::{Placeholders, is_reserved};
use super::value::Value;

#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Name(String),
    Index(usize),
}

pub type Path = Vec<Step>;

#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    Path(Path),
    Value(Value),
    Size(Path),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    Compare(Operand, Comparator, Operand),
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
    Exists(Path),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
}

/// Reads one expression.
pub struct Parser<'a> {
    /// As the request calls it.
    kind: &'static str,
    tokens: Vec<String>,
    next: usize,
    placeholders: &'a Placeholders,
}

impl<'a> Parser<'a> {
    pub fn new(kind: &'static str, text: &str, placeholders: &'a Placeholders) -> Result<Parser<'a>, Refusal> {
        let mut parser = Parser { kind, tokens: Vec::new(), next: 0, placeholders };
        if text.trim().is_empty() {
            return Err(parser.error("The expression can not be empty;"));
        }
        parser.tokens = tokens(text)
            .map_err(|token| parser.error(&format!("Syntax error; token: \"{token}\", near: \"{token}\"")))?;
        Ok(parser)
    }

    /// A whole condition.
    pub fn condition(mut self) -> Result<Condition, Refusal> {
        let condition = self.or()?;
        self.end()?;
        Ok(condition)
    }

    pub fn end(&self) -> Result<(), Refusal> {
        if self.peek().is_some() { Err(self.syntax_error()) } else { Ok(()) }
    }

    pub fn error(&self, message: &str) -> Refusal {
        Refusal::invalid(format!("Invalid {}: {message}", self.kind))
    }

    pub fn syntax_error(&self) -> Refusal {
        let token = self.peek().unwrap_or("<EOF>");
        let near = &self.tokens[self.next.saturating_sub(1)..(self.next + 2).min(self.tokens.len())];
        self.error(&format!("Syntax error; token: \"{token}\", near: \"{}\"", near.join(" ")))
    }

    pub fn peek(&self) -> Option<&str> {
        self.tokens.get(self.next).map(String::as_str)
    }

    pub fn take(&mut self, token: &str) -> bool {
        let found = self.peek().is_some_and(|next| next.eq_ignore_ascii_case(token));
        self.next += usize::from(found);
        found
    }

    pub fn require(&mut self, token: &str) -> Result<(), Refusal> {
        if self.take(token) { Ok(()) } else { Err(self.syntax_error()) }
    }

    fn or(&mut self) -> Result<Condition, Refusal> {
        let mut left = self.and()?;
        while self.take("OR") {
            left = Condition::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Condition, Refusal> {
        let mut left = self.not()?;
        while self.take("AND") {
            left = Condition::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Condition, Refusal> {
        if self.take("NOT") {
            return Ok(Condition::Not(Box::new(self.not()?)));
        }
        if self.take("(") {
            let redundant = self.peek() == Some("(");
            let inside = self.or()?;
            let twice = redundant && self.tokens.get(self.next.wrapping_sub(1)).is_some_and(|token| token == ")");
            self.require(")")?;
            if twice && !matches!(inside, Condition::And(..) | Condition::Or(..)) {
                return Err(self.error("The expression has redundant parentheses;"));
            }
            return Ok(inside);
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Condition, Refusal> {
        if let Some(name) = self.function_name() {
            return self.function(&name);
        }
        let left = self.operand()?;
        self.compared(left)
    }

    /// What follows the first operand.
    fn compared(&mut self, left: Operand) -> Result<Condition, Refusal> {
        if self.take("BETWEEN") {
            let low = self.operand()?;
            self.require("AND")?;
            let high = self.operand()?;
            return self.between(left, low, high);
        }
        if self.take("IN") {
            self.require("(")?;
            let mut list = vec![self.operand()?];
            while self.take(",") {
                list.push(self.operand()?);
            }
            self.require(")")?;
            return Ok(Condition::In(left, list));
        }
        let comparator = match self.peek() {
            Some("=") => Comparator::Equal,
            Some("<>") => Comparator::NotEqual,
            Some("<") => Comparator::Less,
            Some("<=") => Comparator::LessOrEqual,
            Some(">") => Comparator::Greater,
            Some(">=") => Comparator::GreaterOrEqual,
            _ => return Err(self.syntax_error()),
        };
        let sign = self.peek().unwrap_or_default().to_owned();
        self.next += 1;
        let right = self.operand()?;
        if let (Operand::Path(path), true) = (&left, left == right) {
            return Err(self.error(&format!(
                "The first operand must be distinct from the remaining operands for this operator or function; \
                 operator: {sign}, first operand: {}",
                written(path)
            )));
        }
        Ok(Condition::Compare(left, comparator, right))
    }

    fn between(&self, left: Operand, low: Operand, high: Operand) -> Result<Condition, Refusal> {
        if let (Operand::Value(low), Operand::Value(high)) = (&low, &high)
            && low.order(high).is_some_and(|order| order.is_gt())
        {
            return Err(
                self.error("The BETWEEN operator requires upper bound to be greater than or equal to lower bound")
            );
        }
        Ok(Condition::Between(left, low, high))
    }

    /// The name of a function whose parenthesis comes next.
    fn function_name(&self) -> Option<String> {
        let is_call = self.tokens.get(self.next + 1).is_some_and(|token| token == "(");
        let name = self.peek().filter(|name| is_call && name.starts_with(|c: char| c.is_ascii_alphabetic()))?;
        (name != "size").then(|| name.to_owned())
    }

    fn function(&mut self, name: &str) -> Result<Condition, Refusal> {
        if !["attribute_exists", "attribute_not_exists", "begins_with", "contains"].contains(&name) {
            return Err(self.error(&format!("Invalid function name; function: {name}")));
        }
        let arguments = self.arguments()?;
        let wanted = if name.starts_with("attribute") { 1 } else { 2 };
        if arguments.len() != wanted {
            let count = arguments.len();
            return Err(self.error(&format!(
                "Incorrect number of operands for operator or function; operator or function: {name}, number of \
                 operands: {count}"
            )));
        }
        let mut arguments = arguments.into_iter();
        match (name, arguments.next(), arguments.next()) {
            ("attribute_exists", Some(Operand::Path(path)), _) => Ok(Condition::Exists(path)),
            ("attribute_not_exists", Some(Operand::Path(path)), _) => {
                Ok(Condition::Not(Box::new(Condition::Exists(path))))
            }
            ("begins_with", Some(text), Some(prefix)) => {
                if let Operand::Value(value) = &prefix
                    && !matches!(value, Value::S(_) | Value::B(_))
                {
                    return Err(self.wrong_type(name, value));
                }
                Ok(Condition::BeginsWith(text, prefix))
            }
            ("contains", Some(whole), Some(part)) => Ok(Condition::Contains(whole, part)),
            _ => {
                Err(self.error(&format!("Operator or function requires a document path; operator or function: {name}")))
            }
        }
    }

    pub fn wrong_type(&self, name: &str, value: &Value) -> Refusal {
        self.error(&format!(
            "Incorrect operand type for operator or function; operator or function: {name}, operand type: {}",
            value.type_name()
        ))
    }

    /// Of a function that comes next.
    pub fn arguments(&mut self) -> Result<Vec<Operand>, Refusal> {
        self.next += 1;
        self.require("(")?;
        let mut arguments = vec![self.operand()?];
        while self.take(",") {
            arguments.push(self.operand()?);
        }
        self.require(")")?;
        Ok(arguments)
    }

    pub fn operand(&mut self) -> Result<Operand, Refusal> {
        if self.peek() == Some("size") && self.tokens.get(self.next + 1).is_some_and(|token| token == "(") {
            return match self.arguments()?.pop() {
                Some(Operand::Path(path)) => Ok(Operand::Size(path)),
                _ => Err(self.error("Operator or function requires a document path; operator or function: size")),
            };
        }
        match self.peek() {
            Some(name) if name.starts_with(':') => {
                let value = self.placeholders.value(name).ok_or_else(|| {
                    self.error(&format!(
                        "An expression attribute value used in expression is not defined; attribute value: {name}"
                    ))
                })?;
                self.next += 1;
                Ok(Operand::Value(value))
            }
            _ => self.path().map(Operand::Path),
        }
    }

    pub fn path(&mut self) -> Result<Path, Refusal> {
        let mut path = vec![self.name()?];
        loop {
            if self.take(".") {
                path.push(self.name()?);
            } else if self.take("[") {
                let index = self.peek().and_then(|token| token.parse().ok()).ok_or_else(|| self.syntax_error())?;
                self.next += 1;
                self.require("]")?;
                path.push(Step::Index(index));
            } else {
                return Ok(path);
            }
        }
    }

    fn name(&mut self) -> Result<Step, Refusal> {
        let is_word = |token: &&str| token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '#');
        let token = self.peek().filter(is_word).ok_or_else(|| self.syntax_error())?.to_owned();
        let is_operator = ["and", "or", "not", "in", "between", "set", "remove", "add", "delete"]
            .iter()
            .any(|word| token.eq_ignore_ascii_case(word));
        if is_operator {
            return Err(self.syntax_error());
        }
        let name = if token.starts_with('#') {
            self.placeholders.name(&token).ok_or_else(|| {
                self.error(&format!(
                    "An expression attribute name used in the document path is not defined; attribute name: {token}"
                ))
            })?
        } else if is_reserved(&token) {
            let message = format!("Attribute name is a reserved keyword; reserved keyword: {token}");
            return Err(self.error(&message));
        } else {
            token
        };
        self.next += 1;
        Ok(Step::Name(name))
    }
}

/// A path as the service writes it.
pub fn written(path: &Path) -> String {
    let step = |step: &Step| match step {
        Step::Name(name) => name.clone(),
        Step::Index(index) => format!("[{index}]"),
    };
    format!("[{}]", path.iter().map(step).collect::<Vec<_>>().join(", "))
}

/// The tokens of an expression; else what is none.
fn tokens(text: &str) -> Result<Vec<String>, char> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if matches!(first, ':' | '#') {
            1 + rest[1..].find(|c| !is_word(c)).unwrap_or(rest.len() - 1)
        } else if ["<>", "<=", ">="].iter().any(|sign| rest.starts_with(sign)) {
            2
        } else if "()[],.=<>+-".contains(first) {
            1
        } else {
            return Err(first);
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}
