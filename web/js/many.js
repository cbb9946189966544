// What is done with several files at once: loaded with the first use.
import { api, encodeName, post } from './api.js';
import { number, t } from './i18n.js';
import { saveFrom, save } from './files.js';
import { filesOf, lastPart } from './shelf.js';
import { attempt, dialog, toast } from './ui.js';
import { para, visible } from './dom.js';
import { bytes } from './format.js';

const AT_ONCE = 4;

/** Runs work(item) for each, a few at a time; returns those that failed, with the last error. */
async function each(items, work) {
	const failed = [];
	let error = null;
	const queue = items.values();
	const run = async () => {
		for (const item of queue)
			try {
				await work(item);
			} catch (e) {
				failed.push(item);
				error = e;
			}
	};
	await Promise.all(Array.from({ length: AT_ONCE }, run));
	return { failed, error };
}

const tell = ({ failed, error }) => failed.length && toast(`${t('many.failed', { n: failed.length })} ${error.text ?? error.message}`, { kind: 'error' });

/** `del`, `restore`: API paths before the name; files: all that the place has. */
export const removeMany = (entries, files, { del, restore, load }) =>
	attempt(async () => {
		const gone = filesOf(files, entries);
		const size = bytes(gone.reduce((sum, f) => sum + f.size, 0));
		const name = entries.length === 1 ? visible(lastPart(entries[0].name)) : t('selected', { n: entries.length });
		const sure = await dialog({
			title: t('delete.title', { name }),
			body: [para(`${t('n.files', { n: gone.length })} · ${size}`), para(t('delete.text'))],
			actions: [{ label: t('cancel'), value: null }, { label: t('delete'), value: 'yes', main: true, danger: true }],
		});
		if (!sure) return;
		const done = [];
		const result = await each(gone, async (f) => {
			const answer = await api('DELETE', `${del}/${encodeName(f.name)}`);
			if (answer.restore_until) done.push(f);
		});
		await load();
		tell(result);
		if (gone.length === result.failed.length) return;
		const back = () =>
			attempt(async () => {
				tell(await each(done, (f) => post(`${restore}/${encodeURIComponent(f.name)}/restore`)));
				await load();
			});
		toast(t('many.deleted', { n: gone.length - result.failed.length }), done.length ? { undo: true, action: { label: t('undo'), run: back } } : {});
	});

const FEW = 30; // paths that an address takes
const MOST = 2000;

/** Files and folders of a place as one archive. Many are named to p2p-ui first. */
export async function saveZip(of, paths, name) {
	if (paths.length > MOST) throw new Error(t('zip.many', { max: number(MOST) }));
	const query = paths.length > FEW
		? `selection=${(await post('zip', { of, paths })).selection}`
		: `of=${of}&${paths.map((path) => `path=${encodeURIComponent(path)}`).join('&')}`;
	return saveFrom(`zip?${query}`, `${name}.zip`);
}

/** One file as it is, else everything as one archive. */
export function saveMany(of, entries, zip) {
	if (!zip) return each(entries, (one) => save(of, one.name));
	return saveZip(of, entries.map((one) => one.name), entries.length === 1 ? lastPart(entries[0].name) : 'files');
}
