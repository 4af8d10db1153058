"""Keys that only object storage can hold, and some that clients like to change."""

ODD_KEYS = (
    *("a//b", "/lead", "./x", "../y", "a/./b", "a/../b", "..", ".", "trail/", "//", "a///", "...", "a/.b", "C:\\x"),
    *("%2F", "%2f%", "%", "%25", "a%00", "a+b", "a#b", "a?b", "a b", " a", "a ", "a&b=c", "a=b", "a;b", "a\\b"),
    *("[1]{2}*", "~", "'\"", "<x>", "a|b", "a^b", "a`b", "]]>", "&amp;", "$a", "@:,!()"),
    *("a\nb", "a\x01b", "a\x7fb", "a\tb", "a\rb", "a\x1fb", "a\x85b", "a\u2028b", "\ufeffx", "\u200b", "\U0001f600"),
    *("é", "e\u0301", "日本", "x" * 1024),
)
