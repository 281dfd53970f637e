//! What is asked for of `/get`, and how it is told no.

/// More values than this make no key.
const MOST_KEY_FIELDS: usize = 32;

/// What `/get` is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetQuery {
    /// The counter group.
    pub group: String,
    /// The values of its key fields, in their order; or one: the key as items have it.
    pub key: Vec<String>,
    /// Only the feature, or the ratio, of this name.
    pub feature: Option<String>,
    /// The time at which it is read; now, unless it is named.
    pub at: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// As HTTP has it.
    pub status: u16,
    /// In words.
    pub text: String,
}

impl Refusal {
    /// The question is not one.
    pub fn bad_request(text: impl Into<String>) -> Refusal {
        Refusal { status: 400, text: text.into() }
    }

    /// There is no such thing.
    pub fn not_found(text: impl Into<String>) -> Refusal {
        Refusal { status: 404, text: text.into() }
    }

    /// It cannot be answered by a run like this.
    pub fn conflict(text: impl Into<String>) -> Refusal {
        Refusal { status: 409, text: text.into() }
    }

    /// It cannot be answered now.
    pub fn busy(text: impl Into<String>) -> Refusal {
        Refusal { status: 503, text: text.into() }
    }
}

impl GetQuery {
    /// What stands behind the `?`.
    pub(super) fn parse(query: &str) -> Result<GetQuery, Refusal> {
        let mut parsed = GetQuery::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            match &*name {
                "group" => parsed.group = value,
                "key" if parsed.key.len() < MOST_KEY_FIELDS => parsed.key.push(value),
                "feature" => parsed.feature = Some(value),
                "at" => parsed.at = Some(value),
                _ => {
                    return Err(Refusal::bad_request(
                        "there are group=, key= (once for each of its fields), feature= and at=",
                    ));
                }
            }
        }
        if parsed.group.is_empty() || parsed.key.is_empty() || parsed.key.iter().any(String::is_empty) {
            return Err(Refusal::bad_request(
                "give group=NAME and key=VALUE, key= once for each field of the group's key",
            ));
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded_and_others_are_refused() {
        let query = GetQuery::parse("group=u%20v&key=a%7Cb&key=c+d&at=now").unwrap();
        assert_eq!((query.group.as_str(), &query.key[..]), ("u v", &["a|b".to_owned(), "c d".to_owned()][..]));
        assert_eq!((query.feature, query.at.as_deref()), (None, Some("now")));
        let too_many = format!("group=g{}", "&key=1".repeat(MOST_KEY_FIELDS + 1));
        for query in
            ["", "group=g", "key=1", "group=&key=1", "group=g&key=", "group=g&key=1&path=/etc/passwd", &too_many]
        {
            assert_eq!(GetQuery::parse(query).map_err(|refusal| refusal.status), Err(400), "{query}");
        }
    }
}
