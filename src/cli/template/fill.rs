//! Filling templates in: `@name@` stands for what is called `name`, once through, so that what is filled in is not looked at again.

/// The template with each name replaced by its value. What is no known name stays.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('@') {
        filled.push_str(before);
        let value = behind.split_once('@').and_then(|(name, after)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            Some((*value, after))
        });
        rest = match value {
            Some((value, after)) => {
                filled.push_str(value);
                after
            }
            None => {
                filled.push('@');
                behind
            }
        };
    }
    filled + rest
}

/// Every line, but empty ones, behind so many spaces; without a newline at the end.
pub(super) fn indented(text: &str, spaces: usize) -> String {
    let line = |line: &str| if line.is_empty() { String::new() } else { format!("{:spaces$}{line}", "") };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_once_and_all_else_stays() {
        let values = [("a", "@b@"), ("b", "2")];
        assert_eq!(fill("@a@ @b@@b@ x@c@y @ @system-service {{a}}", &values), "@b@ 22 x@c@y @ @system-service {{a}}");
        assert_eq!(fill("@", &values), "@");
    }

    #[test]
    fn lines_are_moved_and_empty_ones_are_not() {
        assert_eq!(indented("a\n\n  b\n", 2), "  a\n\n    b");
    }
}
