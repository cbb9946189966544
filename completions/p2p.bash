# bash completion of p2p, p2p-peer, p2p-ui and p2p-discovery. Options come from --help, so
# that they are always those of the installed version.

_p2p_options() {
    "$@" --help 2>/dev/null | sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p'
}

_p2p_value() { # completes the value of option $1; false when it takes none we know
    case $1 in
    --*-dir) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    --config | --snapshot | --allow-peers) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    --log-level) mapfile -t COMPREPLY < <(compgen -W "error warn info debug" -- "$cur") ;;
    --device-kind) mapfile -t COMPREPLY < <(compgen -W "laptop desktop phone server tablet unknown" -- "$cur") ;;
    --verify) mapfile -t COMPREPLY < <(compgen -W "full tree" -- "$cur") ;;
    --protocol) mapfile -t COMPREPLY < <(compgen -W "2 1" -- "$cur") ;;
    --mode) mapfile -t COMPREPLY < <(compgen -W "auto exact prefix substring fuzzy" -- "$cur") ;;
    *) return 1 ;;
    esac
}

_p2p() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local program=$1 command=${COMP_WORDS[1]}

    COMPREPLY=()
    _p2p_value "$prev" && return
    if [[ ${program##*/} != p2p ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_p2p_options "$program")" -- "$cur")
    elif [[ $COMP_CWORD -eq 1 ]]; then
        mapfile -t COMPREPLY < <(
            compgen -W "get search peers ls status id key ui token share unfinished init config doctor help --help --version" -- "$cur"
        )
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_p2p_options "$program" "$command")" -- "$cur")
    elif [[ $COMP_CWORD -eq 2 ]]; then
        case $command in
        peers) mapfile -t COMPREPLY < <(compgen -W "trust forget block" -- "$cur") ;;
        key) mapfile -t COMPREPLY < <(compgen -W "show protect unprotect rotate" -- "$cur") ;;
        share) mapfile -t COMPREPLY < <(compgen -W "ls rescan confirm" -- "$cur") ;;
        unfinished) mapfile -t COMPREPLY < <(compgen -W "remove" -- "$cur") ;;
        config) mapfile -t COMPREPLY < <(compgen -W "get set unset list path" -- "$cur") ;;
        token) mapfile -t COMPREPLY < <(compgen -W "new list revoke" -- "$cur") ;;
        help) mapfile -t COMPREPLY < <(
            compgen -W "get search peers ls status id key ui token share unfinished init config doctor" -- "$cur"
        ) ;;
        esac
    fi
}

complete -F _p2p p2p p2p-peer p2p-ui p2p-discovery
