// Finds texts by words in any order, the best first.

/** Without accents and capitals. */
export const plain = (text) => text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();

/** How well a word fits: at the beginning of a word, inside, as letters in this order, or (0) not at all. */
export function fits(text, word) {
	const at = text.indexOf(word);
	if (at === 0 || (at > 0 && /[^\p{L}\p{N}]/u.test(text[at - 1]))) return 6;
	if (at > 0) return new RegExp(`[^\\p{L}\\p{N}]${word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`, 'u').test(text) ? 6 : 4;
	if (word.length < 3) return 0;
	let from = -1;
	let first = -1;
	for (const letter of word) {
		from = text.indexOf(letter, from + 1);
		if (from < 0) return 0;
		if (first < 0) first = from;
	}
	return from - first < word.length * 2 + 2 ? 1 : 0; // letters that are far apart are not meant
}

const prepared = new WeakMap();

/** The items that fit all words of `text`. `textOf(item)`: what is searched; `bonus(item)`: at most 12. */
export function rank(items, text, textOf, bonus = () => 0) {
	const words = plain(text).split(/\s+/).filter(Boolean);
	const scored = [];
	for (const [i, item] of items.entries()) {
		if (!prepared.has(item)) prepared.set(item, plain(textOf(item)));
		const searched = prepared.get(item);
		let sum = 0;
		for (const word of words) {
			const score = fits(searched, word);
			sum = score === 0 ? -Infinity : sum + score;
		}
		if (sum > 0) scored.push({ item, i, score: sum + bonus(item) / 12 - searched.length / 1000 });
	}
	return scored.sort((a, b) => b.score - a.score || a.i - b.i).map(({ item }) => item);
}
