"""The page kit of every web surface: templates, assets, languages, listings, live pages, charts."""
