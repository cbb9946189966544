// The details of a transfer. Loaded when they are asked for.
import { button, grow, h, item, metaText, setText, visible } from '../dom.js';
import { ago, bytes, duration, speed } from '../format.js';
import { later, t } from '../i18n.js';
import { state } from '../store.js';
import { change, reason, statusText } from '../transfers.js';
import { badge, called, dialog, pathText } from '../ui.js';
import { numbers } from './transfers.js';

function sourceLine(source) {
	const tone = { active: 'ok', slow: 'warn', failed: 'bad', banned: 'bad' }[source.state] ?? '';
	return item(grow(h('span', { class: source.name ? '' : 'mono', title: source.peer_id_full }, called(source)),
			metaText(h('bdi', {}, source.address),
				` · ${bytes(source.received)}${source.speed ? ` · ${speed(source.speed)}` : ''}${source.path ? ` · ${pathText(source.path)}` : ''}${source.error ? ` · ${source.error}` : ''}`,
			),
		),
		badge(tone, t(`src.${source.state}`)),
	);
}

/** The dialog with all of a transfer: its sources, its pieces and its priority. */
export function showDetails(id) {
	const find = () => state.transfers.byId.get(id);
	const first = find();
	const facts = h('dl', { class: 'facts' });
	const sources = h('ul', { class: 'sources' });
	const place = h('div', {});
	let swarm = null;
	const prio = h(
		'select',
		{ id: 'prio', onchange: () => change(find(), { priority: prio.value }) },
		['high', 'normal', 'low'].map((p) => h('option', { value: p }, t(`prio.${p}`))),
	);
	prio.value = first.priority;
	const front = button(t('tr.first'), { onclick: () => change(find(), { position: 0 }) });
	const render = () => {
		const one = find();
		if (!one) return;
		const rows = [
			[t('state'), statusText(one)],
			[t('progress'), numbers(one)],
			[t('verified'), bytes(one.verified)],
			[t('tr.created'), ago(one.created)],
		];
		if (one.finished && one.state === 'completed')
			rows.push([t('tr.took'), duration(one.finished - one.created)]);
		facts.replaceChildren(...rows.flatMap(([k, v]) => [h('dt', {}, k), h('dd', {}, v)]));
		sources.replaceChildren(...one.sources.map(sourceLine));
		front.hidden = one.state !== 'queued';
		swarm?.update(one);
	};
	render();
	later(import('../swarm.js')).then(({ swarmOf }) => {
		swarm = swarmOf(find() ?? first);
		place.replaceWith(swarm.el);
	});
	const timer = setInterval(render, 1000);
	const why = reason(first);
	dialog({
		title: visible(first.filename),
		className: 'transfer',
		param: ['id', id],
		body: [
			why && h('p', { class: 'why' }, why),
			facts,
			first.sources.length > 0 && h('h3', {}, t('sources')),
			sources,
			!first.finished &&
				h('div', { class: 'field inline' }, h('label', { for: 'prio' }, t('prio')), prio, front),
			place,
		],
	}).then(() => clearInterval(timer));
}
