# bash completion of p2p and its daemons. Commands and options come from
# --help, and peers and files from `p2p complete`, so that they are always the current ones.

_p2p_offer() { # LINES: those that begin with the word, one a line
    local line
    while IFS= read -r line; do
        [[ $line != "$cur"* ]] || COMPREPLY+=("$line")
    done
}

_p2p_options() {
    "$@" --help 2>/dev/null | sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p'
}

_p2p_commands() {
    "$program" help 2>/dev/null | sed -n 's/^  \([a-z]*\) .*/\1/p'
}

_p2p_verbs() { # of one command: the lower-case words between the bars of its usage line
    "$program" "$1" --help 2>/dev/null | awk '
        /^Usage: /, /^$/ { sub(/^ +/, " "); usage = usage $0 }
        END {
            if (!sub(/^Usage: .*\[options\] */, "", usage)) exit
            for (n = split(usage, word, "|"); n > 0; n--) {
                gsub(/[][]/, "", word[n]); sub(/^ +/, "", word[n]); sub(/ .*/, "", word[n])
                if (word[n] ~ /^[a-z]+$/ && word[n] != "all") print word[n]
            }
        }'
}

_p2p_names() { # of one kind (p2p complete --help): readline quotes what the shell would read otherwise
    compopt -o filenames 2>/dev/null
    _p2p_offer < <(timeout 5 "$program" complete "$1" "$cur" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != */ ]] || compopt -o nospace 2>/dev/null
}

_p2p_value() { # completes the value of option $1; false when it takes none we know
    case $1 in
    --to) case $command in send) _p2p_names peers ;; restore) _p2p_names shared ;; *) _p2p_paths -d ;; esac ;;
    --*-dir) compopt -o filenames 2>/dev/null; _p2p_offer < <(compgen -d -- "$cur") ;;
    --config | --snapshot | --allow-peers | --relay-secret-file | --turn-secret-file | --output | -o | --tls-cert | --tls-key | --ca-file)
        compopt -o filenames 2>/dev/null; _p2p_offer < <(compgen -f -- "$cur") ;;
    --offers) _p2p_offer < <(printf '%s\n' all known none) ;;
    --log-level) _p2p_offer < <(printf '%s\n' error warn info debug) ;;
    --log-format) _p2p_offer < <(printf '%s\n' text json) ;;
    --device-kind) _p2p_offer < <(printf '%s\n' laptop desktop phone server tablet unknown) ;;
    --verify) _p2p_offer < <(printf '%s\n' full tree) ;;
    --protocol) _p2p_offer < <(printf '%s\n' 2 1) ;;
    --on-conflict) _p2p_offer < <(printf '%s\n' rename version overwrite skip) ;;
    --path) _p2p_offer < <(printf '%s\n' auto direct channel relay) ;;
    --mode) _p2p_offer < <(printf '%s\n' auto exact prefix substring fuzzy) ;;
    --peer | --allow) _p2p_names peers ;;
    *) return 1 ;;
    esac
}

_p2p_paths() { # -f|-d
    compopt -o filenames 2>/dev/null
    _p2p_offer < <(compgen "$1" -- "$cur")
}

_p2p_argument() { # of a command: a verb, or what the verb is about
    case $command:$COMP_CWORD:${COMP_WORDS[2]} in
    get:*) _p2p_names files ;;
    send:*) _p2p_paths -f ;;
    receive:2:*) compopt -o nospace 2>/dev/null; _p2p_names codes ;;
    ls:2:* | doctor:2:*) _p2p_names peers ;;
    history:*) _p2p_names shared; _p2p_names deleted ;;
    restore:*) _p2p_names deleted; _p2p_names shared ;;
    help:2:*) _p2p_offer < <(_p2p_commands) ;;
    *:2:*) _p2p_offer < <(_p2p_verbs "$command") ;;
    peers:3:trust | peers:3:forget | peers:3:block | mirror:3:add | inbox:3:always | inbox:3:ask) _p2p_names peers ;;
    mirror:3:list) ;;
    mirror:3:*) _p2p_names mirrors ;;
    share:3:add) _p2p_paths -d ;;
    share:3:rm | share:3:confirm) _p2p_names folders ;;
    inbox:3:accept | inbox:3:decline) _p2p_names offers ;;
    link:*:new) _p2p_names shared ;;
    link:3:revoke) _p2p_names links ;;
    folder:3:private | folder:3:public | versions:3:purge) _p2p_names shared ;;
    unfinished:3:remove) _p2p_names unfinished ;;
    config:3:get | config:3:set | config:3:unset) _p2p_names settings ;;
    esac
}

_p2p() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local program=$1 command=${COMP_WORDS[1]}

    COMPREPLY=()
    # --option=value is three words here
    if [[ $cur == "=" ]]; then
        cur=""
    elif [[ $prev == "=" && $COMP_CWORD -gt 2 ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    cur=${cur//\\/} cur=${cur#[\"\']}
    _p2p_value "$prev" && return
    if [[ ${program##*/} != p2p ]]; then
        _p2p_offer < <(_p2p_options "$program")
    elif [[ $COMP_CWORD -eq 1 ]]; then
        _p2p_offer < <(_p2p_commands; printf '%s\n' help --help --version)
    elif [[ $cur == -* ]]; then
        _p2p_offer < <(_p2p_options "$program" "$command")
    else
        _p2p_argument
    fi
}

complete -F _p2p p2p p2p-peer p2p-ui p2p-discovery p2p-relay
