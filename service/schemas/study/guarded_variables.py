"""Variables of an environment that can make a program run other code than its own, or show it what it must not see."""

NAMES = frozenset(
    {
        "CLASSPATH",
        "EDITOR",
        "ENV",
        "GCONV_PATH",
        "GLIBC_TUNABLES",
        "HOME",
        "IFS",
        "LOCPATH",
        "NLSPATH",
        "PAGER",
        "PATH",
        "PROMPT_COMMAND",
        "PS4",
        "SHELL",
        "SHELLOPTS",
        "TMPDIR",
        "VISUAL",
        "ZDOTDIR",
        "ALL_PROXY",
        "HTTP_PROXY",
        "HTTPS_PROXY",
    }
)
PREFIXES = (
    "BASH",
    "CONDA_",
    "CUDA_",
    "DYLD_",
    "GIT_",
    "HF_",
    "JAVA_",
    "JDK_",
    "JULIA_",
    "LD_",
    "LUA_",
    "MALLOC_",
    "MLFLOW_",
    "NARROWS_",
    "NODE_",
    "NPM_",
    "PERL",
    "PHP",
    "PYTHON",
    "RUBY",
    "R_",
    "SSL_",
    "TORCH",
    "TRITON_",
    "XDG_",
    "_JAVA_",
)


def is_guarded(name: str) -> bool:
    """Whether a definition may set the variable only on workers that allow it by name."""
    upper = name.upper()
    return upper in NAMES or upper.startswith(PREFIXES)
