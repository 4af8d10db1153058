"""In place of a library of the tests that Ray would import in each of its processes, where it takes three seconds: it
parses a grammar. Its users go on without."""

raise ImportError("rfc3987_syntax is not needed here")
