import { loadDownloads } from '../data.js';
import { fileIcon, fileName, folderOf, growBox, h, hintLine, metaText, opener, para, setFileIcon, setFileName, setText, visible } from '../dom.js';
import { awayNotices, filterInput, folderActions, matching, noMatch, openFile, removeFile, saveAction, searchButton } from '../files.js';
import { ago, bytes } from '../format.js';
import { t } from '../i18n.js';
import { VirtualList } from '../list.js';
import { on, state } from '../store.js';
import { attempt, command, dialog, empty, loadingText, rowActions, viewHead } from '../ui.js';

const EVERY_MS = 5000;
const POLLED = 500; // longer lists are read again only when an event says so

const remove = (file) =>
	removeFile(file, { del: 'download', restore: 'downloads', load: loadDownloads });

const checksum = (file) =>
	dialog({
		title: visible(file.name),
		body: [
			para(t('sha.text')),
			command(file.sha256),
			hintLine(t('sha.check')),
			command(`sha256sum 'downloads/${file.name.replaceAll("'", "'\\''")}'`),
		],
	});

function downloadRow(first, list) {
	let file = first;
	const kind = fileIcon(file.name);
	const name = fileName(file.name);
	const meta = metaText();
	const actions = rowActions(
		() => visible(file.name),
		() => [
			saveAction('downloads', () => file.name),
			...folderActions('downloads', file.name),
			...(file.sha256 ? [{ id: 'sha', icon: 'shield', label: t('sha'), run: () => checksum(file) }] : []),
			{ id: 'delete', icon: 'trash', label: t('delete'), danger: true, run: () => remove(file) },
		],
	);
	return {
		el: h('div', { class: 'row' }, kind, growBox(opener(name, () => openFile('downloads', file.name, list())), meta), actions.el),
		update(next) {
			file = next;
			setFileName(name, file.name);
			setFileIcon(kind, file.name);
			setText(meta, [bytes(file.size), ago(file.mtime), folderOf(file.name)].filter(Boolean).join(' · '));
			actions.update();
		},
	};
}

export function downloadsView() {
	const head = viewHead(t('downloads'));
	const list = new VirtualList(t('downloads'), { key: (f) => f.name, create: (f) => downloadRow(f, () => list.items) });
	const filter = filterInput(() => render(true));
	const tools = h('div', { class: 'tools' }, filter);
	const none = noMatch();
	const nothing = empty('download', t('dl.empty'), t('dl.empty.text'), searchButton());
	const notices = h('div', { class: 'notices' });
	const card = h('section', { class: 'card', 'aria-label': t('downloads') }, tools, list.el, none.el, nothing);
	const el = h(
		'div',
		{ class: 'view' },
		head.el,
		notices,
		card,
	);
	const render = (fresh = false) => {
		const { files, loaded } = state.downloads;
		const shown = matching(files, filter);
		head.say(
			loaded
				? `${t('n.files', { n: files.length })} · ${bytes(files.reduce((sum, f) => sum + f.size, 0))}`
				: loadingText(),
		);
		card.hidden = !loaded;
		tools.hidden = files.length < 6;
		list.set(shown, fresh);
		none.say(shown.length, files.length, filter);
		nothing.hidden = !loaded || files.length > 0;
	};
	on('downloads connection', () => render());
	on('status', () => notices.replaceChildren(...awayNotices('downloads')));
	render();
	return {
		el,
		show: () => {
			render(true);
			return attempt(loadDownloads);
		},
		every: EVERY_MS,
		tick: () => state.downloads.files.length <= POLLED && loadDownloads().catch(() => {}),
	};
}
