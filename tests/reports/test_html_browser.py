"""The HTML report in a browser, headless Chromium driven through Selenium."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_document import MODELS, made_document

from odnbench.reports.html import as_html

webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed")
DRIVER, BROWSER = shutil.which("chromedriver"), shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DRIVER and BROWSER), reason="there is no chromium with its driver"),
]
# Whether the contents of an element are wider than the element, where nothing lets them scroll.
CLIPPED = """
    return [...document.querySelectorAll("main *, header *, nav *")]
        .filter((it) => it.scrollWidth > it.clientWidth + 1 && it.clientWidth > 0)
        .filter((it) => getComputedStyle(it).display !== "inline" && !it.closest(".scroll, svg"))
        .filter((it) => !it.matches(".unseen, .skip"))
        .map((it) => it.outerHTML.slice(0, 80));
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "ablation.html"
    path.write_text(as_html(made_document(path.parent)), encoding="utf-8")
    return path


def opened(browser: Any, file: Path, width: int = 1440, theme: str = "light") -> None:
    """Opens the page in a window of that width, on a system with that theme."""
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    scheme = {"name": "prefers-color-scheme", "value": theme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get(file.as_uri())


@pytest.mark.parametrize("width", (390, 1440))
def test_nothing_is_wider_than_the_page(browser: Any, file: Path, width: int) -> None:
    opened(browser, file, width)
    browser.execute_script("for (const it of document.querySelectorAll('details')) it.open = true")
    wait_for_drawing(browser)
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    assert browser.execute_script(CLIPPED) == []
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('.panel')]"
        ".map((it) => it.querySelectorAll('.curve').length)"
    )
    assert drawn == [len(MODELS), len(MODELS), 1, 7, 2, 1]


def test_no_request_leaves_the_page_and_nothing_is_refused(browser: Any, file: Path) -> None:
    for log in ("performance", "browser"):
        browser.get_log(log)
    opened(browser, file)
    wait_for_drawing(browser)
    messages = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    asked = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert file.as_uri() in asked
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    assert browser.get_log("browser") == []  # also what the page's policy refuses
    assert browser.execute_script("return [...document.images].every((it) => it.naturalWidth > 0)")


def test_a_table_is_sorted_by_its_numbers(browser: Any, file: Path) -> None:
    opened(browser, file)
    cells = "#summary tbody tr > :nth-child(2)"
    before = texts(browser, cells)
    head = browser.find_element("css selector", "#summary thead th:nth-child(2)")
    button = head.find_element("css selector", "button")
    button.click()
    assert head.get_attribute("aria-sort") == "ascending"
    numbers = texts(browser, cells)
    assert numbers[-1] == "–"
    assert numbers[:-1] == sorted(set(before) - {"–"}, key=lambda text: int(text.replace(",", "")))
    button.send_keys("\ue007")  # Enter
    assert head.get_attribute("aria-sort") == "descending"
    assert texts(browser, cells) == [*reversed(numbers[:-1]), "–"]
    button.send_keys(" ")
    assert head.get_attribute("aria-sort") is None
    assert texts(browser, cells) == before


def test_a_curve_is_taken_from_all_panels(browser: Any, file: Path) -> None:
    opened(browser, file)
    button = browser.find_element("css selector", "#ced .legend button")
    for pressed, count in (("false", 2 * len(MODELS) - 2), ("true", 2 * len(MODELS))):
        browser.execute_script("arguments[0].click()", button)
        assert button.get_attribute("aria-pressed") == pressed
        assert len(browser.find_elements("css selector", "#ced .curve")) == count


def test_values_are_read_by_keyboard_and_pointer(browser: Any, file: Path) -> None:
    opened(browser, file)
    panel = browser.find_element("css selector", "#occlusion .panel")
    panel.send_keys("\ue014", "\ue014")  # arrow right
    reading = panel.find_element("css selector", ".reading")
    assert reading.text.splitlines()[0] == "pasted occluders cover, % of the face: 10"
    assert "5.527 (5.027–7.267)" in reading.text
    assert browser.execute_script(
        "return arguments[0].scrollWidth <= arguments[0].clientWidth", reading
    )
    spoken = panel.find_element("css selector", "[aria-live]")
    assert "5.527" in spoken.get_attribute("textContent")
    panel.send_keys("\ue00c")  # Escape
    assert not reading.is_displayed()
    svg = panel.find_element("css selector", "svg")
    webdriver.ActionChains(browser).move_to_element(svg).perform()
    assert reading.text.splitlines()[0].endswith(": 30")


@pytest.mark.parametrize("theme", ("light", "dark"))
def test_the_theme_is_the_systems_until_it_is_chosen(browser: Any, file: Path, theme: str) -> None:
    other = {"light": "dark", "dark": "light"}[theme]
    opened(browser, file, theme=theme)
    assert shade(browser) == theme
    button = browser.find_element("css selector", ".theme")
    assert button.text == f"{other.title()} mode"
    button.click()
    assert shade(browser) == other
    browser.refresh()
    assert shade(browser) == theme


def test_a_link_opens_the_folded_section(browser: Any, file: Path) -> None:
    opened(browser, file)
    link = browser.find_element("link text", "How these numbers were made")
    link.click()
    section = browser.find_element("css selector", "main > details:last-child")
    assert section.get_attribute("open") is not None
    assert section.find_element("css selector", "table").is_displayed()


def wait_for_drawing(browser: Any) -> None:
    """Lets the page draw what has come to be seen: two frames."""
    browser.execute_async_script(
        "const [done] = arguments;requestAnimationFrame(() => requestAnimationFrame(() => done()));"
    )


def texts(browser: Any, selector: str) -> list[str]:
    return [found.text for found in browser.find_elements("css selector", selector)]


def shade(browser: Any) -> str:
    """Whether the page is light or dark to look at."""
    colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    red = int(colour.removeprefix("rgb(").partition(",")[0])
    return "light" if red > 127 else "dark"
