//! The subset of Markdown that descriptions use: paragraphs, lists, `code` and **bold**.

use maud::{Markup, html};

/// Paragraphs and lists, with a blank line between them.
pub(super) fn blocks(text: &str) -> Markup {
    html! {
        @for block in text.trim().split("\n\n") {
            @if let Some(items) = block.trim().strip_prefix("- ") {
                ul { @for item in items.split("\n- ") { li { (inline(item)) } } }
            } @else {
                p { (inline(block)) }
            }
        }
    }
}

/// One line. Line breaks of the source count as spaces.
pub(super) fn inline(text: &str) -> Markup {
    let text = text.trim().replace('\n', " ");
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (bold(part)) }
        }
    }
}

fn bold(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split("**").enumerate() {
            @if index % 2 == 1 { strong { (part) } } @else { (part) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_escaped_and_marked() {
        let text = "a **b** `c<d`\ne\n\n- one\n- `two`";
        let shown = "<p>a <strong>b</strong> <code>c&lt;d</code> e</p><ul><li>one</li><li><code>two</code></li></ul>";
        assert_eq!(blocks(text).into_string(), shown);
    }
}
