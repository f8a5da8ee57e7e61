//! What a misspelt word may have meant.

/// The candidate with the fewest edits, if these are few against the word's length.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let limit = match word.chars().count() {
        0 | 1 => return None,
        2..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    let scored = candidates.into_iter().filter(|candidate| *candidate != word);
    let scored = scored.map(|candidate| (distance(word, candidate), candidate));
    // Ties go to the first in the alphabet, whatever the order of the candidates.
    scored.filter(|(edits, _)| *edits <= limit).min().map(|(_, candidate)| candidate.to_owned())
}

/// Insertions, deletions, replacements and swaps of neighbours that make one word of the other.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    if left.len().abs_diff(right.len()) > 3 {
        return usize::MAX;
    }
    let mut rows = vec![(0..=right.len()).collect::<Vec<_>>()];
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found() {
        let words = ["exit", "goto", "gotol", "map_lookup_elem"];
        assert_eq!(nearest("exti", words).as_deref(), Some("exit"));
        assert_eq!(nearest("got", words).as_deref(), Some("goto"));
        assert_eq!(nearest("map_lookup_element", words).as_deref(), Some("map_lookup_elem"));
        assert_eq!(nearest("nothing", words), None);
        assert_eq!(nearest("x", words), None);
        assert_eq!(nearest("exit", words), None);
    }
}
