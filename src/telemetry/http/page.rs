//! The page for people: one file, put together here, that asks nobody but this server.
//!
//! Charts are drawn by uPlot 1.6.32 (MIT; its licence stands beside it).

/// The whole page.
pub(super) const PAGE: &str = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n",
    "<title>counter-machine</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n",
    include_str!("page/uplot/uPlot.min.css"),
    include_str!("page/page.css"),
    "</style>\n</head>\n<body>\n",
    include_str!("page/page.html"),
    "<script>\n",
    "/*! uPlot 1.6.32, https://github.com/leeoniya/uPlot, (c) 2022 Leon Sorokin, MIT License */\n",
    include_str!("page/uplot/uPlot.iife.min.js"),
    "</script>\n<script>\n",
    include_str!("page/page.js"),
    "</script>\n</body>\n</html>\n",
);

#[cfg(test)]
mod tests {
    use super::PAGE;

    #[test]
    fn the_page_is_small_and_asks_nobody_else() {
        assert!(PAGE.len() < 100_000, "{} bytes", PAGE.len());
        for (start, _) in PAGE.match_indices("://") {
            let around = &PAGE[start.saturating_sub(5)..start + 30];
            // In comments, and the name of a namespace.
            assert!(around.contains("github.com/leeoniya") || around.contains("www.w3.org"), "{around}");
        }
        assert_eq!((PAGE.matches("<script>").count(), PAGE.matches("</script>").count()), (2, 2));
        assert!(!PAGE.contains(" src=") && !PAGE.contains("@import") && !PAGE.contains("innerHTML"));
    }

    #[test]
    fn every_member_of_the_status_that_it_shows_is_documented() {
        const STATUS: &str = include_str!("../../../docs/metrics.md");
        let script = include_str!("page/page.js");
        let name = |text: &str| text.chars().take_while(char::is_ascii_alphanumeric).collect::<String>();
        let members: std::collections::BTreeSet<_> = script
            .match_indices("now.")
            .map(|(start, _)| name(&script[start + 4..]))
            .filter(|name| !name.is_empty())
            .collect();
        assert!(members.len() > 30, "{members:?}");
        for member in members {
            assert!(STATUS.contains(&format!("`{member}`")), "`{member}` is not in docs/metrics.md");
        }
    }
}
