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

_p2p_verbs() { # of one command: the lower-case words of its arguments in `p2p help`
    "$program" help 2>/dev/null | awk -v command="$1" '
        $1 == command {
            sub(/^  [a-z]+ /, ""); sub(/  .*/, "")
            for (n = split($0, word, "|"); n > 0; n--) {
                gsub(/[][]/, "", word[n]); sub(/ .*/, "", word[n])
                if (word[n] ~ /^[a-z]+$/ && word[n] != "all") print word[n]
            }
        }'
}

_p2p_names() { # peers|files: readline quotes what the shell would read otherwise
    compopt -o filenames 2>/dev/null
    _p2p_offer < <(timeout 5 "$program" complete "$1" "$cur" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != */ ]] || compopt -o nospace 2>/dev/null
}

_p2p_value() { # completes the value of option $1; false when it takes none we know
    case $1 in
    --*-dir) compopt -o filenames 2>/dev/null; _p2p_offer < <(compgen -d -- "$cur") ;;
    --config | --snapshot | --allow-peers | --relay-secret-file | --output | --tls-cert | --tls-key)
        compopt -o filenames 2>/dev/null; _p2p_offer < <(compgen -f -- "$cur") ;;
    --log-level) _p2p_offer < <(printf '%s\n' error warn info debug) ;;
    --log-format) _p2p_offer < <(printf '%s\n' text json) ;;
    --device-kind) _p2p_offer < <(printf '%s\n' laptop desktop phone server tablet unknown) ;;
    --verify) _p2p_offer < <(printf '%s\n' full tree) ;;
    --protocol) _p2p_offer < <(printf '%s\n' 2 1) ;;
    --on-conflict) _p2p_offer < <(printf '%s\n' rename version overwrite skip) ;;
    --mode) _p2p_offer < <(printf '%s\n' auto exact prefix substring fuzzy) ;;
    --peer | --allow) _p2p_names peers ;;
    *) return 1 ;;
    esac
}

_p2p_argument() { # of a command: a verb, a peer, or a file
    case $command:$COMP_CWORD:${COMP_WORDS[2]} in
    get:*) _p2p_names files ;;
    send:*) compopt -o filenames 2>/dev/null; _p2p_offer < <(compgen -f -- "$cur") ;;
    receive:2:*) compopt -o nospace 2>/dev/null
        _p2p_offer < <("$program" complete codes "$cur" 2>/dev/null) ;;
    ls:2:*) _p2p_names peers ;;
    help:2:*) _p2p_offer < <(_p2p_commands) ;;
    peers:3:trust | peers:3:forget | peers:3:block) _p2p_names peers ;;
    *:2:*) _p2p_offer < <(_p2p_verbs "$command") ;;
    share:*) compopt -o filenames 2>/dev/null; _p2p_offer < <(compgen -d -- "$cur") ;;
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
