//! Update expressions: SET (with `+`, `-` and `if_not_exists`) and REMOVE.

use super::answer::Refusal;
use super::condition::at;
use super::expression::{Operand, Parser, Path, Step, written};
use super::number::Number;
use super::placeholders::Placeholders;
use super::value::{Attributes, Value};

#[derive(Clone, Debug)]
enum Term {
    Operand(Operand),
    IfNotExists(Path, Operand),
}

#[derive(Clone, Debug)]
enum Action {
    /// With what is added to it, or taken away (`true`).
    Set(Path, Term, Option<(bool, Term)>),
    Remove(Path),
}

/// What an UpdateItem does to an item.
#[derive(Clone, Debug, Default)]
pub struct Update {
    actions: Vec<Action>,
}

impl Update {
    pub fn parse(text: &str, placeholders: &Placeholders) -> Result<Update, Refusal> {
        let mut parser = Parser::new("UpdateExpression", text, placeholders)?;
        let mut actions = Vec::new();
        let mut sections = Vec::new();
        while parser.peek().is_some() {
            let section = match parser.peek().map(str::to_ascii_uppercase).as_deref() {
                Some("SET") => "SET",
                Some("REMOVE") => "REMOVE",
                _ => return Err(parser.syntax_error()),
            };
            if sections.contains(&section) {
                let message = format!("The \"{section}\" section can only be used once in an update expression;");
                return Err(parser.error(&message));
            }
            sections.push(section);
            parser.take(section);
            loop {
                let path = parser.path()?;
                actions.push(if section == "SET" { set(&mut parser, path)? } else { Action::Remove(path) });
                if !parser.take(",") {
                    break;
                }
            }
        }
        let update = Update { actions };
        update.require_distinct_paths(&parser)?;
        Ok(update)
    }

    fn require_distinct_paths(&self, parser: &Parser<'_>) -> Result<(), Refusal> {
        let paths: Vec<&Path> = self.paths().collect();
        for (i, one) in paths.iter().enumerate() {
            for two in &paths[i + 1..] {
                if one.starts_with(two) || two.starts_with(one) {
                    return Err(parser.error(&format!(
                        "Two document paths overlap with each other; must remove or rewrite one of these paths; path \
                         one: {}, path two: {}",
                        written(one),
                        written(two)
                    )));
                }
            }
        }
        Ok(())
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        self.actions.iter().map(|action| match action {
            Action::Set(path, ..) | Action::Remove(path) => path,
        })
    }

    /// The attributes that it touches.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.paths().filter_map(|path| match path.first() {
            Some(Step::Name(name)) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The item after it; what it reads is the item before.
    pub fn apply(&self, before: &Attributes) -> Result<Attributes, Refusal> {
        let mut after = before.clone();
        for action in &self.actions {
            match action {
                Action::Remove(path) => remove(&mut after, path),
                Action::Set(path, first, second) => {
                    let mut value = term(first, before)?;
                    if let Some((minus, second)) = second {
                        value = sum(&value, &term(second, before)?, *minus)?;
                    }
                    put(&mut after, path, value)?;
                }
            }
        }
        Ok(after)
    }
}

fn set(parser: &mut Parser<'_>, path: Path) -> Result<Action, Refusal> {
    parser.require("=")?;
    let first = parse_term(parser)?;
    let minus = parser.peek() == Some("-");
    let second = if parser.take("+") || parser.take("-") { Some((minus, parse_term(parser)?)) } else { None };
    if second.is_some() {
        for term in [Some(&first), second.as_ref().map(|(_, term)| term)].into_iter().flatten() {
            if let Term::Operand(Operand::Value(value)) = term
                && !matches!(value, Value::N(_))
            {
                return Err(parser.wrong_type(if minus { "-" } else { "+" }, value));
            }
        }
    }
    Ok(Action::Set(path, first, second))
}

fn parse_term(parser: &mut Parser<'_>) -> Result<Term, Refusal> {
    if parser.peek() == Some("if_not_exists") {
        let mut arguments = parser.arguments()?.into_iter();
        return match (arguments.next(), arguments.next(), arguments.next()) {
            (Some(Operand::Path(path)), Some(otherwise), None) => Ok(Term::IfNotExists(path, otherwise)),
            _ => {
                Err(parser.error("Operator or function requires a document path; operator or function: if_not_exists"))
            }
        };
    }
    parser.operand().map(Term::Operand)
}

fn term(term: &Term, item: &Attributes) -> Result<Value, Refusal> {
    let get = |operand: &Operand| match operand {
        Operand::Value(value) => Ok(value.clone()),
        Operand::Path(path) => at(item, path).cloned().ok_or_else(|| {
            Refusal::invalid("The provided expression refers to an attribute that does not exist in the item")
        }),
        Operand::Size(_) => Err(Refusal::invalid(
            "Invalid UpdateExpression: The function is not allowed in an update expression; function: size",
        )),
    };
    match term {
        Term::Operand(operand) => get(operand),
        Term::IfNotExists(path, otherwise) => at(item, path).cloned().map_or_else(|| get(otherwise), Ok),
    }
}

fn sum(a: &Value, b: &Value, minus: bool) -> Result<Value, Refusal> {
    let (Value::N(a), Value::N(b)) = (a, b) else {
        return Err(Refusal::invalid("An operand in the update expression has an incorrect data type"));
    };
    let (a, b) = (Number::parse(a)?, Number::parse(b)?);
    Ok(Value::N(a.plus(&if minus { b.negated() } else { b })?.to_text()))
}

fn no_such_path() -> Refusal {
    Refusal::invalid("The document path provided in the update expression is invalid for update")
}

fn put(item: &mut Attributes, path: &Path, value: Value) -> Result<(), Refusal> {
    let (last, parents) = path.split_last().ok_or_else(no_such_path)?;
    let Some((Step::Name(first), inner)) = parents.split_first() else {
        let Step::Name(name) = last else { return Err(no_such_path()) };
        item.insert(name.clone(), value);
        return Ok(());
    };
    let mut parent = item.get_mut(first).ok_or_else(no_such_path)?;
    for step in inner {
        parent = child(parent, step).ok_or_else(no_such_path)?;
    }
    match (parent, last) {
        (Value::M(map), Step::Name(name)) => drop(map.insert(name.clone(), value)),
        (Value::L(list), Step::Index(index)) if *index < list.len() => list[*index] = value,
        (Value::L(list), Step::Index(_)) => list.push(value),
        _ => return Err(no_such_path()),
    }
    Ok(())
}

fn child<'a>(value: &'a mut Value, step: &Step) -> Option<&'a mut Value> {
    match (value, step) {
        (Value::M(map), Step::Name(name)) => map.get_mut(name),
        (Value::L(list), Step::Index(index)) => list.get_mut(*index),
        _ => None,
    }
}

fn remove(item: &mut Attributes, path: &Path) {
    let Some((last, parents)) = path.split_last() else { return };
    let Some((Step::Name(first), inner)) = parents.split_first() else {
        if let Step::Name(name) = last {
            item.remove(name);
        }
        return;
    };
    let parent = item.get_mut(first).and_then(|value| inner.iter().try_fold(value, child));
    match (parent, last) {
        (Some(Value::M(map)), Step::Name(name)) => drop(map.remove(name)),
        (Some(Value::L(list)), Step::Index(index)) if *index < list.len() => drop(list.remove(*index)),
        _ => {}
    }
}
