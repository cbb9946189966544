// Downloaded Files: what has arrived on the machine that runs p2p-ui.
import { api, encodeName, post } from '../api.js';
import { loadDownloads } from '../data.js';
import { button, fileIcon, fileName, h, setFileIcon, setFileName, setText, visible } from '../dom.js';
import { ago, bytes } from '../format.js';
import { t } from '../i18n.js';
import { VirtualList } from '../list.js';
import { on, state } from '../store.js';
import { attempt, command, confirm, dialog, empty, rowActions, toast, viewHead } from '../ui.js';

const EVERY_MS = 5000;
const POLLED = 500; // longer lists are read again only when an event says so

async function remove(file) {
	if (!(await confirm(t('delete.title', { name: visible(file.name) }), t('delete.download'), t('delete'))))
		return;
	await attempt(async () => {
		const answer = await api('DELETE', `download/${encodeName(file.name)}`);
		await loadDownloads();
		toast(
			t('deleted', { name: visible(file.name) }),
			answer.restore_until
				? {
						action: {
							label: t('undo'),
							run: () =>
								attempt(async () => {
									await post(`downloads/${encodeName(file.name)}/restore`);
									await loadDownloads();
								}),
						},
					}
				: {},
		);
	});
}

const checksum = (file) =>
	dialog({
		title: visible(file.name),
		body: [
			h('p', {}, t('sha.text')),
			command(file.sha256),
			h('p', { class: 'hint' }, t('sha.check')),
			command(`sha256sum 'downloads/${file.name.replaceAll("'", "'\\''")}'`),
		],
	});

function downloadRow(first) {
	let file = first;
	const kind = fileIcon(file.name);
	const name = fileName(file.name);
	const meta = h('span', { class: 'meta' });
	const actions = rowActions(
		() => visible(file.name),
		() => [
			{
				id: 'save',
				icon: 'download',
				label: t('save'),
				run: () => {
					location.assign(`api/downloads/${encodeName(file.name)}`);
				},
			},
			...(file.sha256 ? [{ id: 'sha', icon: 'shield', label: t('sha'), run: () => checksum(file) }] : []),
			{ id: 'delete', icon: 'trash', label: t('delete'), danger: true, run: () => remove(file) },
		],
	);
	return {
		el: h('div', { class: 'row' }, kind, h('div', { class: 'grow' }, name, meta), actions.el),
		update(next) {
			file = next;
			setFileName(name, file.name);
			setFileIcon(kind, file.name);
			setText(meta, [bytes(file.size), file.mtime ? ago(file.mtime) : null].filter(Boolean).join(' · '));
			actions.update();
		},
	};
}

export function downloadsView() {
	const head = viewHead(t('downloads'));
	const list = new VirtualList(t('downloads'), { key: (f) => f.name, create: downloadRow });
	const filter = h('input', {
		type: 'search',
		placeholder: t('filter'),
		'aria-label': t('filter'),
		oninput: () => render(),
	});
	const tools = h('div', { class: 'tools' }, filter);
	const none = h('p', { class: 'hint center', hidden: true }, t('filter.none'));
	const nothing = empty(
		'download',
		t('dl.empty'),
		t('dl.empty.text'),
		button(t('search'), {
			icon: 'search',
			kind: 'primary',
			onclick: () => {
				location.hash = '#/search';
			},
		}),
	);
	const el = h(
		'div',
		{ class: 'view' },
		head.el,
		h('section', { class: 'card', 'aria-label': t('downloads') }, tools, list.el, none, nothing),
	);
	const render = () => {
		const { files, loaded } = state.downloads;
		const wanted = filter.value.trim().toLowerCase();
		const shown = wanted ? files.filter((f) => f.name.toLowerCase().includes(wanted)) : files;
		head.say(
			loaded
				? `${t('n.files', { n: files.length })} · ${bytes(files.reduce((sum, f) => sum + f.size, 0))}`
				: t('loading'),
		);
		tools.hidden = files.length < 6;
		list.set(shown);
		none.hidden = shown.length > 0 || files.length === 0;
		nothing.hidden = !loaded || files.length > 0;
	};
	on('downloads', render);
	render();
	return {
		el,
		show: () => {
			render();
			return attempt(loadDownloads);
		},
		every: EVERY_MS,
		tick: () => state.downloads.files.length <= POLLED && loadDownloads().catch(() => {}),
	};
}
