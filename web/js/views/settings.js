import { api, get, post } from '../api.js';
import { loadConfig } from '../data.js';
import { button, grow, h, hintLine, icon, item, metaText, para, setText, visible } from '../dom.js';
import { ago, bytes, clock, duration } from '../format.js';
import { LANGUAGES, lang, load, save, t } from '../i18n.js';
import { showKeys } from '../keys.js';
import * as notes from '../notify.js';
import { on, state } from '../store.js';
import { attempt, command, confirm, dialog, fail, toast, viewHead } from '../ui.js';

/** Paired devices do not see the owner's actions. */
export const isOwner = () => ['local', 'owner'].includes(state.status?.caller);

/** The pairing code; renewed after use or expiry. */
export async function pairDevice() {
	const code = h('p', { class: 'code', dir: 'ltr' });
	const until = hintLine();
	const image = h('img', { class: 'qr', alt: t('pair.qr'), width: 200, height: 200, hidden: true });
	const where = h('div', {});
	const show = (data) => {
		setText(code, data.code.replace(/...(?=.)/g, '$& '));
		code.setAttribute('aria-label', [...data.code].join(' '));
		setText(until, t('pair.until', { time: clock(data.expires_at) }));
		image.hidden = data.urls.length === 0;
		if (data.urls.length) image.src = `api/qr?target=dashboard&t=${Date.now()}`;
		where.replaceChildren(
			...(data.urls.length
				? data.urls.map((url) => command(url.split('#')[0]))
				: [hintLine(t('pair.noaddress'))]),
		);
	};
	const renew = async () => {
		try {
			show(await post('pair/code'));
		} catch (error) {
			fail(error);
		}
	};
	const first = await get('pair/code')
		.catch((error) => (error.code === 'no_code' ? post('pair/code') : Promise.reject(error)))
		.catch(fail);
	if (!first) return;
	show(first);
	await dialog({
		title: t('pair.device'),
		className: 'pair-dialog',
		body: [
			para(t('pair.text')),
			image,
			code,
			until,
			where,
			button(t('pair.renew'), { icon: 'retry', kind: 'quiet', onclick: renew }),
		],
	});
}

function deviceRow(device, again) {
	return item(h('span', { class: 'kind', 'data-kind': 'peer' }, icon('device')),
		grow(h('bdi', { class: 'name' }, visible(device.name)),
			metaText([
					t(`device.${device.kind}`),
					device.last_seen ? t('seen', { time: ago(device.last_seen) }) : null,
					device.current ? t('device.this') : null,
				]
					.filter(Boolean)
					.join(' · '),
			),
		),
		button(t('device.remove', { name: visible(device.name) }), {
			icon: 'trash',
			bare: true,
			kind: 'danger',
			onclick: () =>
				attempt(async () => {
					if (
						!(await confirm(
							t('device.remove', { name: visible(device.name) }),
							t('device.remove.text'),
							t('remove'),
						))
					)
						return;
					await api('DELETE', `devices/${encodeURIComponent(device.id)}`);
					await again();
				}),
		}),
	);
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

function configCard() {
	const change = async (name, value) => {
		try {
			state.config = await api('PATCH', 'config', { [name]: value });
			toast(t('saved'), { kind: 'ok' });
		} catch (error) {
			fail(error);
		}
		fill();
	};
	const input = (id, props, read = (el) => el.value.trim()) => {
		const el = h('input', {
			id: `set-${id}`,
			autocomplete: 'off',
			'aria-describedby': `set-${id}-hint`,
			...props,
		});
		el.addEventListener('change', () => change(id, read(el)));
		return el;
	};
	const controls = {
		name: input('name', { type: 'text', maxlength: 63, dir: 'auto' }),
		limit_rate: input(
			'limit_rate',
			{ type: 'text', spellcheck: 'false', dir: 'ltr' },
			(el) => el.value.trim() || 'off',
		),
		connections: input(
			'connections',
			{ type: 'number', min: 1, max: 16, inputmode: 'numeric' },
			(el) => el.valueAsNumber || 0,
		),
		max_running: input(
			'max_running',
			{ type: 'number', min: 1, max: 64, inputmode: 'numeric' },
			(el) => el.valueAsNumber || 0,
		),
		verify: h(
			'select',
			{
				id: 'set-verify',
				'aria-describedby': 'set-verify-hint',
				onchange: (e) => change('verify', e.target.value),
			},
			['full', 'tree'].map((v) => h('option', { value: v }, t(`verify.${v}`))),
		),
	};
	const note = hintLine(t('set.owner'));
	const fill = () => {
		note.hidden = isOwner();
		for (const [name, el] of Object.entries(controls)) {
			el.disabled = !isOwner();
			if (state.config && document.activeElement !== el) el.value = state.config[name] ?? '';
		}
	};
	const rows = Object.entries(controls).map(([name, el]) =>
		field(`set-${name}`, t(`set.${name}`), el, t(`set.${name}.hint`)),
	);
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
		button(t('keys'), { kind: 'quiet', onclick: showKeys }),
	);
}

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
			[t('about.shared'), state.config?.shared_dir],
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
			hintLine(t('about.id')),
			id,
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
	const el = h('div', { class: 'view' }, head.el, config.el, appearanceCard(actions), devices.el, about.el);
	head.say(t('settings.sub'));
	on('devices', () => el.isConnected && devices.refresh().catch(() => {}));
	return {
		el,
		show: () =>
			attempt(async () => {
				await Promise.all([loadConfig(), devices.refresh()]);
				config.fill();
				about.render();
			}),
		every: null,
	};
}
