"""Scripts that let shells ask for words. They hold no words themselves, and so fit every version."""

from collections.abc import Mapping


VARIABLE = "_RECIPE_WORDS"
"""Holds the words up to the cursor, one on each line, when a shell asks."""

_BASH = """\
_recipe() {
    local line="${COMP_LINE:0:COMP_POINT}" word cut
    local -a words
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local now="${words[-1]}"
    # bash itself begins a new word after some characters: what stands before the last of them is there already
    cut="${now%"${now##*[$COMP_WORDBREAKS]}"}"
    COMPREPLY=()
    while IFS= read -r word; do
        word="${word%%$'\\t'*}"
        COMPREPLY+=("${word#"$cut"}")
    done < <(_RECIPE_WORDS="$(printf '%s\\n' "${words[@]}"; printf x)" "${words[0]/#\\~/$HOME}" completion bash 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -gt 0 && ${COMPREPLY[0]} == *= ]]; then compopt -o nospace; fi
}
complete -o default -F _recipe recipe
"""

_ZSH = """\
#compdef recipe
_recipe() {
    local word text
    local -a plain open described
    while IFS= read -r word; do
        text="${word#*$'\\t'}"
        word="${word%%$'\\t'*}"
        if [[ $word == *= ]]; then open+=("$word"); else plain+=("$word"); described+=("${word}${text:+ -- $text}"); fi
    done < <(_RECIPE_WORDS="$(print -rl -- "${words[@]:0:$CURRENT}"; printf x)" "${words[1]}" completion zsh 2>/dev/null)
    if (( ${#plain} + ${#open} == 0 )); then _files; return; fi
    (( ${#plain} )) && compadd -l -d described -- "${plain[@]}"
    (( ${#open} )) && compadd -S '' -- "${open[@]}"
    return 0
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _recipe "$@"; else compdef _recipe recipe; fi
"""

_FISH = """\
function __recipe_words
    set -l words (commandline -opc) (commandline -ct)
    set -lx _RECIPE_WORDS (string join \\n -- $words x | string collect)
    $words[1] completion fish 2>/dev/null
end
complete -c recipe -n 'test (count (__recipe_words)) -gt 0' -f -a '(__recipe_words)'
"""

SCRIPTS: Mapping[str, str] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
"""The script of each shell."""


def words_of(text: str) -> list[str]:
    """Return the words of the variable. The last line is a mark, without which shells drop an empty word."""
    return text.split("\n")[:-1]
