import { api, get, post } from '../api.js';
import { loadConfig } from '../data.js';
import { button, grow, h, hintLine, icon, item, metaText, opener, para, setAttr, setText, visible } from '../dom.js';
import { ago, bytes, clock, duration } from '../format.js';
import { LANGUAGES, known, lang, load, t } from '../i18n.js';
import { showKeys } from '../keytable.js';
import * as notes from '../notify.js';
import { isOwner, on, state } from '../store.js';
import { bytesOf, timetableEditor } from '../timetable.js';
import { attempt, command, confirm, dialog, fail, toast, viewHead } from '../ui.js';

/** Addresses to type; the first one is that of the picture. */
function addressList(urls) {
	if (urls.length === 0) return [hintLine(t('pair.noaddress'))];
	const [first, ...others] = urls.map((url) => command(url.split('#')[0]));
	const rest = h('details', {}, h('summary', {}, t('pair.others', { n: others.length })), others);
	return others.length ? [first, rest] : [first];
}

/** The pairing code; renewed after use or expiry. Says when a device has used it. */
export async function pairDevice() {
	const code = h('p', { class: 'code', dir: 'ltr' });
	const until = hintLine();
	const image = h('img', { class: 'qr', alt: t('pair.qr'), width: 200, height: 200, hidden: true });
	const where = h('div', { class: 'addresses' });
	const done = h('p', { class: 'paired', role: 'status' });
	let timer = 0;
	const show = (data) => {
		setText(code, data.code.replace(/...(?=.)/g, '$& '));
		code.setAttribute('aria-label', [...data.code].join(' '));
		setText(until, t('pair.until', { time: clock(data.expires_at) }));
		image.hidden = data.urls.length === 0;
		if (data.urls.length) image.src = `api/qr?target=dashboard&t=${Date.now()}`;
		where.replaceChildren(...addressList(data.urls));
		clearTimeout(timer);
		timer = setTimeout(renew, Math.max(1000, data.expires_at * 1000 - Date.now() + 500));
	};
	const renew = async () => {
		try {
			show(await post('pair/code'));
		} catch (error) {
			fail(error);
		}
	};
	const devices = async () => (await get('devices')).devices;
	const first = await get('pair/code')
		.catch((error) => (error.code === 'no_code' ? post('pair/code') : Promise.reject(error)))
		.catch(fail);
	if (!first) return;
	const known = new Set((await devices().catch(() => [])).map((d) => d.id));
	show(first);
	const stop = on('devices', async () => {
		const fresh = (await devices().catch(() => [])).find((d) => !known.has(d.id));
		if (!fresh) return;
		known.add(fresh.id);
		done.replaceChildren(icon('check'), t('pair.done', { name: visible(fresh.name) }));
		renew(); // the old code is used
	});
	await dialog({
		title: t('pair.device'),
		className: 'pair-dialog',
		body: [
			done,
			para(t('pair.text')),
			image,
			code,
			until,
			where,
			button(t('pair.renew'), { icon: 'retry', kind: 'quiet', onclick: renew }),
		],
	});
	stop();
	clearTimeout(timer);
}

const seenText = (device) =>
	[
		t(device.administrator ? 'device.admin' : `device.${device.kind}`),
		device.last_seen ? t('seen', { time: ago(device.last_seen) }) : null,
		device.current ? t('device.this') : null,
	]
		.filter(Boolean)
		.join(' · ');

const removeDevice = (device, again) =>
	attempt(async () => {
		const question = t('device.remove', { name: visible(device.name) });
		if (!(await confirm(question, t('device.remove.text'), t('remove')))) return;
		await api('DELETE', `devices/${encodeURIComponent(device.id)}`);
		await again();
	});

/** Makes a paired browser an administrator. */
function adminSwitch(device, again) {
	const box = h('input', {
		type: 'checkbox',
		role: 'switch',
		id: 'device-admin',
		'aria-describedby': 'device-admin-hint',
		onchange: async () => {
			const wanted = box.checked;
			const done = await attempt(() => api('PATCH', `devices/${encodeURIComponent(device.id)}`, { administrator: wanted }));
			if (done) await again();
			else box.checked = !wanted;
		},
	});
	box.checked = device.administrator;
	return [h('label', { class: 'check', for: 'device-admin' }, box, t('device.admin')), h('p', { class: 'hint', id: 'device-admin-hint' }, t('device.admin.text'))];
}

async function showDevice(device, again) {
	const facts = [seenText(device), device.address].filter(Boolean);
	const removed = await dialog({
		title: visible(device.name),
		body: (close) => [
			...facts.map((fact) => hintLine(h('bdi', {}, fact))),
			device.kind === 'browser' && adminSwitch(device, again),
			button(t('device.remove', { name: visible(device.name) }), { icon: 'trash', kind: 'danger', onclick: () => close('remove') }),
		],
	});
	if (removed) removeDevice(device, again);
}

function deviceRow(device, again) {
	const name = h('bdi', { class: 'name' }, visible(device.name));
	return item(
		h('span', { class: 'kind', 'data-kind': 'peer' }, icon('device')),
		grow(opener(name, () => showDevice(device, again)), metaText(seenText(device))),
		button(t('device.remove', { name: visible(device.name) }), { icon: 'trash', bare: true, kind: 'danger', onclick: () => removeDevice(device, again) }),
	);
}

/** For a paired device: what it may do, and how it may do the rest. */
function ownRightsCard() {
	const el = card('set-may', t('device.may'), para(t('device.may.text')), hintLine(t('device.may.how')), command('p2p token admin ID'));
	const render = () => {
		el.hidden = isOwner();
	};
	on('status', render);
	render();
	return el;
}

function devicesCard() {
	const list = h('ul', { class: 'sources' });
	const none = hintLine(t('device.none'));
	const add = button(t('pair.device'), { icon: 'plus', kind: 'primary', onclick: pairDevice });
	const el = card('set-devices', t('set.devices'), hintLine(t('set.devices.text')),
		list,
		none,
		add,
	);
	const refresh = async () => {
		el.hidden = !isOwner();
		if (el.hidden) return;
		const { devices } = await get('devices');
		list.replaceChildren(...devices.map((d) => deviceRow(d, refresh)));
		none.hidden = devices.length > 0;
	};
	on('status', () => el.isConnected && el.hidden === isOwner() && refresh().catch(() => {}));
	return { el, refresh };
}

const card = (id, title, ...rest) =>
	h('section', { class: 'card pad', 'aria-labelledby': id }, h('h2', { id }, title), rest);

const field = (id, label, control, hint) =>
	h(
		'div',
		{ class: 'field' },
		h('label', { for: id }, label),
		control,
		hint && h('p', { class: 'hint', id: `${id}-hint` }, hint),
	);

const MB = 1000 * 1000;
const EXAMPLE = '08:00,2000000 23:00,off'; // shown first; it holds only after a change

const limitKind = (text) => (!text || text === 'off' ? 'off' : text.includes(',') ? 'table' : 'rate');

/** No limit, a number, or a timetable. `send(text)` resolves when the value is accepted. */
function limitField(send, problem) {
	const kind = h(
		'select',
		{ id: 'set-limit_rate' },
		['off', 'rate', 'table'].map((k) => h('option', { value: k }, t(`limit.${k}`))),
	);
	const rate = h('input', {
		type: 'number',
		id: 'set-limit-number',
		min: 0.01,
		step: 'any',
		inputmode: 'decimal',
		'aria-label': t('limit.rate.label'),
	});
	const table = timetableEditor(send, problem);
	const number = h('div', { class: 'unit' }, rate, h('span', {}, 'MB/s'));
	let saved = '';
	const arrange = () => {
		number.hidden = kind.value !== 'rate';
		table.el.hidden = kind.value !== 'table';
	};
	const submit = () => (rate.valueAsNumber >= 0.01 ? send(rate, String(Math.round(rate.valueAsNumber * MB))) : problem(rate, t('limit.bad')));
	kind.addEventListener('change', () => {
		arrange();
		problem(kind, '');
		if (kind.value === 'off') return send(kind, 'off');
		if (kind.value === 'rate') return rate.value ? submit() : rate.focus();
		table.fill(saved.includes(',') ? saved : EXAMPLE);
		return table.focus();
	});
	rate.addEventListener('change', submit);
	const fill = (text) => {
		saved = text ?? '';
		kind.value = limitKind(text);
		if (kind.value === 'rate') rate.value = bytesOf(text) / MB;
		if (kind.value === 'table' && table.text() !== text) table.fill(text);
		arrange();
	};
	return { el: h('div', { class: 'limit' }, kind, number, table.el), controls: () => [kind, rate, ...table.controls()], fill };
}

function configCard() {
	const wrong = new Map(); // name of a setting: its line with what is wrong
	/** What was typed stays, with the reason beneath it. */
	const problem = (name) => (el, text) => {
		setText(wrong.get(name), text);
		setAttr(el, 'aria-invalid', text ? 'true' : null);
	};
	const change = (name) => async (el, value) => {
		try {
			state.config = await api('PATCH', 'config', { [name]: value });
			problem(name)(el, '');
			toast(t('saved'), { kind: 'ok' });
			fill();
		} catch (error) {
			problem(name)(el, ['bad_value', 'bad_request'].includes(error.code) && error.message ? error.message : error.text);
		}
	};
	const input = (id, props, read, accepts, why) => {
		const el = h('input', {
			id: `set-${id}`,
			autocomplete: 'off',
			'aria-describedby': `set-${id}-hint set-${id}-why`,
			...props,
		});
		el.addEventListener('change', () =>
			accepts(read(el)) ? change(id)(el, read(el)) : problem(id)(el, t(why, { min: el.min, max: el.max })),
		);
		return el;
	};
	const whole = (id, max) =>
		input(
			id,
			{ type: 'number', min: 1, max, inputmode: 'numeric' },
			(el) => el.valueAsNumber,
			(n) => Number.isInteger(n) && n >= 1 && n <= max,
			'set.bad',
		);
	const limit = limitField(change('limit_rate'), problem('limit_rate'));
	const controls = {
		name: input(
			'name',
			{ type: 'text', maxlength: 63, dir: 'auto' },
			(el) => el.value.trim(),
			(name) => name !== '' && new TextEncoder().encode(name).length <= 63,
			'set.name.bad',
		),
		connections: whole('connections', 16),
		max_running: whole('max_running', 64),
		verify: h(
			'select',
			{
				id: 'set-verify',
				'aria-describedby': 'set-verify-hint',
				onchange: (e) => change('verify')(e.target, e.target.value),
			},
			['full', 'tree'].map((v) => h('option', { value: v }, t(`verify.${v}`))),
		),
	};
	const note = hintLine(t('set.owner'));
	const fill = () => {
		note.hidden = isOwner();
		const own = () => [...Object.values(controls), ...limit.controls()].forEach((el) => {
			el.disabled = !isOwner();
		});
		own();
		if (!state.config) return;
		const busy = (el) => document.activeElement === el || el.getAttribute('aria-invalid');
		for (const [name, el] of Object.entries(controls)) if (!busy(el)) el.value = state.config[name] ?? '';
		if (!limit.controls().some(busy)) limit.fill(state.config.limit_rate);
		own();
	};
	const row = (name, el) => {
		wrong.set(name, h('p', { class: 'why', id: `set-${name}-why`, role: 'alert' }));
		const box = field(`set-${name}`, t(`set.${name}`), el, known(`set.${name}.hint`) && t(`set.${name}.hint`));
		box.append(wrong.get(name));
		return box;
	};
	const rows = Object.entries({ name: controls.name, limit_rate: limit.el, ...controls }).map(([name, el]) => row(name, el));
	on('config status', fill);
	return {
		el: card('set-this', t('set.transfers'), note,
			h('div', { class: 'fields' }, rows),
		),
		fill,
	};
}

function appearanceCard(actions) {
	const choose = (id, options, value, onchange) => {
		const el = h(
			'select',
			{ id, onchange: () => onchange(el.value) },
			options.map(([v, text]) => h('option', { value: v }, text)),
		);
		el.value = value;
		return el;
	};
	const theme = choose(
		'set-theme',
		['auto', 'light', 'dark'].map((v) => [v, t(`theme.${v}`)]),
		load('p2p.theme', 'auto'),
		actions.theme,
	);
	const language = choose('set-lang', Object.entries(LANGUAGES), lang, actions.language);
	const box = h('input', {
		type: 'checkbox',
		id: 'set-notify',
		disabled: !notes.possible() || notes.denied(),
		onchange: async () => {
			box.checked = await notes.want(box.checked);
		},
	});
	box.checked = notes.wanted();
	const why = !notes.possible()
		? t('notify.insecure')
		: notes.denied()
			? t('notify.denied')
			: t('notify.text');
	return card('set-look', t('set.look'), h(
			'div',
			{ class: 'fields' },
			field('set-theme', t('theme'), theme),
			field('set-lang', t('language'), language),
		),
		h('label', { class: 'check', for: 'set-notify' }, box, t('notify')),
		hintLine(why),
		button(t('keys'), { icon: 'keyboard', onclick: showKeys }),
	);
}

const sharedText = (f) =>
	[f.name && `${f.name}/`, f.path, f.state === 'away' ? t('away') : t('n.files', { n: f.files }), bytes(f.bytes)]
		.filter(Boolean)
		.join(' · ');

function aboutCard() {
	const facts = h('dl', { class: 'facts' });
	const id = h('div', {});
	const render = () => {
		const s = state.status;
		if (!s) return;
		const rows = [
			[t('about.version'), s.version],
			[t('about.up'), duration(s.uptime_s ?? 0)],
			[t('about.port'), String(s.port)],
			[t('about.free'), bytes(s.free_space)],
			...(s.shared_folders ?? []).map((f) => [t('about.shared'), sharedText(f)]),
			[t('about.downloads'), state.config?.downloads_dir],
			...(s.discovery ?? []).map((d) => [
				t('about.registry'),
				`${d.url} · ${t(d.reachable ? 'reachable' : 'unreachable')}`,
			]),
		];
		facts.replaceChildren(
			...rows.filter(([, v]) => v).flatMap(([k, v]) => [h('dt', {}, k), h('dd', {}, h('bdi', {}, v))]),
		);
		if (id.dataset.id !== s.peer_id_full) id.replaceChildren(command(s.peer_id_full));
		id.dataset.id = s.peer_id_full;
	};
	on('status config', render);
	return {
		el: card('set-about', t('set.about'), facts,
			hintLine(t('about.add')),
			command('p2p share add Photos=~/Pictures'),
			h('details', {}, h('summary', {}, t('peer.id')), hintLine(t('about.id')), id),
			para(h('a', { href: 'api/openapi.yaml' }, t('about.api'))),
		),
		render,
	};
}

export function settingsView(actions) {
	const head = viewHead(t('settings'));
	const config = configCard();
	const devices = devicesCard();
	const about = aboutCard();
	const el = h('div', { class: 'view' }, head.el, config.el, ownRightsCard(), appearanceCard(actions), devices.el, about.el);
	on('devices', () => el.isConnected && devices.refresh().catch(() => {}));
	return {
		el,
		show: () =>
			attempt(async () => {
				await Promise.all([loadConfig(), devices.refresh()]);
				config.fill();
				about.render();
			}),
		/** A section by its name: this, look, devices, about. */
		open: (query) => {
			const title = el.querySelector(`#set-${CSS.escape(query.get('at') ?? '')}`);
			if (!title?.matches('h2')) return;
			title.tabIndex = -1;
			title.focus({ preventScroll: true });
			title.closest('section').scrollIntoView({ block: 'start' });
		},
		every: null,
	};
}
