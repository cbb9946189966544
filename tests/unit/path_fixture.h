/*
 * path_fixture - a root in a scratch directory with a canary beside it, a tree of good
 * and bad entries in it, and names that are never allowed.
 */
#ifndef P2P_PATH_FIXTURE_H
#define P2P_PATH_FIXTURE_H

#include <sys/socket.h>
#include <sys/un.h>

#include "core/disk/path_internal.h"
#include "p2p/limits.h"
#include "p2p/path.h"
#include "scratch.h"

/* Each has its length, because some contain a NUL. */
#define NAME(s)          \
    {                    \
        s, sizeof(s) - 1 \
    }
struct name {
    const char *text;
    size_t len;
};

static UNUSED_OK const struct name bad_names[] = {
    NAME(""),
    NAME("."),
    NAME(".."),
    NAME("/"),
    NAME("../x"),
    NAME("a/../../x"),
    NAME("a/.."),
    NAME("/etc/passwd"),
    NAME("a//b"),
    NAME("./a"),
    NAME("a/./b"),
    NAME("a/"),
    NAME(".hidden"),
    NAME("a/.hidden"),
    NAME(".p2p/index.db"),
    NAME(".ssh/authorized_keys"),
    NAME("..."),
    NAME("..\\x"),
    NAME("a\\b"),
    NAME("C:x"),
    NAME("a:b"),
    NAME("nul"),
    NAME("CON"),
    NAME("con.txt"),
    NAME("Aux .tar.gz"),
    NAME("com1"),
    NAME("LPT9.log"),
    NAME("com\u00b9.x"),
    NAME("conin$"),
    NAME("dir/nul/x"),
    NAME("trailing."),
    NAME("trailing "),
    NAME("dir /x"),
    NAME("a\0b"),
    NAME("\0"),
    NAME("new\nline"),
    NAME("re\rturn"),
    NAME("tab\t"),
    NAME("\x1b[31mred"),
    NAME("bell\a"),
    NAME("del\x7f"),
    NAME("c1\xc2\x9b"),
    NAME("bidi\u202egpj.exe"),
    NAME("zero\u200bwidth"),
    NAME("\ufeffbom"),
    NAME("soft\u00adhyphen"),
    NAME("line\u2028sep"),
    NAME("\u3164"),
    NAME("braille\u2800.exe"),
    NAME("tag\U000e0041"),
    NAME("\U0001f3f4\U000e0067\U000e007f.png"),
    NAME("selector\ufe0f.exe"),
    NAME("a\ufe0e"),
    NAME("\ufe0f"),
    NAME("\u2764\ufe0f\ufe0f"),
    NAME("1\ufe0f.txt"),
    NAME("selector\ufe00"),
    NAME("\u845b\U000e0100"),
    NAME("mongolian\u180b"),
    NAME("mongolian\u180f"),
    NAME("music\U0001d173"),
    NAME("music\U0001d17a"),
    NAME("null head\U0001d159"),
    NAME("shorthand\U0001bca0"),
    NAME("khmer\u17b4"),
    NAME("unassigned\ufff0"),
    NAME("grapheme\u034fjoiner"),
    NAME("hard\u00a0space"),
    NAME("ogham\u1680space"),
    NAME("em\u2001quad"),
    NAME("hair\u200aspace"),
    NAME("photo\u202f.jpg"),
    NAME("9.41\u202fXM"),
    NAME("math\u205fspace"),
    NAME("wide\u3000space.exe"),
    NAME("joined\u200dletters"),
    NAME("not\u200cjoined"),
    NAME("\u200d"),
    NAME("\u0645\u200c"),
    NAME("\u00e9\u200d\u00e9"),
    NAME("slash\u0338"),
    NAME("a\u0338b"),
    NAME("a\u0337b"),
    NAME("a\u0335"),
    NAME("=\u0337"),
    NAME("a\u20d2"),
    NAME("a\u20e5b"),
    NAME("\uff0e\uff0e/x"),
    NAME("one\u2024txt"),
    NAME("\u2026"),
    NAME("\u2025"),
    NAME("a\u2044b"),
    NAME("a\u2215b"),
    NAME("a\uff0fb"),
    NAME("a\uff3cb"),
    NAME("%2e%2e%2fx"),
    NAME("a%2Fb"),
    NAME("a%5cb"),
    NAME("a%00"),
    NAME("\xff\xfe"),
    NAME("cut\xc3"),
    NAME("overlong\xc0\xaf"),
    NAME("\xc0\xae\xc0\xae/x"),
    NAME("surrogate\xed\xa0\x80"),
    NAME("\xf4\x90\x80\x80"),
    NAME("noncharacter\xef\xbf\xbf"),
};

/* A scratch directory with a shared root in it and a canary beside it. */
struct fixture {
    struct scratch scratch;
    struct p2p_root *root;
};

static UNUSED_OK int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    scratch_put(&f->scratch, "canary", "alive");
    assert_int_equal(
        p2p_root_open(scratch_path(&f->scratch, "root"), true, 0755, &f->root), P2P_OK);
    *state = f;
    return 0;
}

static UNUSED_OK int
teardown(void **state)
{
    struct fixture *f = *state;

    assert_true(scratch_holds(&f->scratch, "canary", "alive"));
    p2p_root_close(f->root);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

static UNUSED_OK void
put_private(const struct fixture *f, const char *name, const char *text)
{
    int fd;

    assert_int_equal(
        p2p_root_open_private(f->root, name, O_WRONLY | O_CREAT | O_TRUNC, &fd),
        P2P_OK);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static UNUSED_OK enum p2p_err
try_open(const struct fixture *f, const char *name)
{
    struct stat st;
    int fd;
    enum p2p_err err = p2p_root_open_file(f->root, name, &fd, &st);

    assert_int_equal(err == P2P_OK, fd >= 0);
    if (fd >= 0)
        close(fd);
    return err;
}

static UNUSED_OK void
link_to(const struct fixture *f, const char *target, const char *name)
{
    assert_int_equal(symlink(target, scratch_path(&f->scratch, name)), 0);
}

static UNUSED_OK void
make_special_files(const struct fixture *f)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int sock = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_int_equal(mkfifo(scratch_path(&f->scratch, "root/fifo"), 0644), 0);
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/root/socket", f->scratch.dir);
    assert_int_equal(bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
    close(sock);
}

static UNUSED_OK void
make_tree(const struct fixture *f)
{
    scratch_put(&f->scratch, "root/file", "file");
    scratch_folder(&f->scratch, "root/folder");
    scratch_put(&f->scratch, "root/folder/inner", "inner");
    scratch_folder(&f->scratch, "outside");
    scratch_put(&f->scratch, "outside/secret", "secret");
    link_to(f, "../canary", "root/link");
    link_to(f, "/etc/passwd", "root/absolute");
    link_to(f, "file", "root/harmless");
    link_to(f, "nowhere", "root/dangling");
    link_to(f, "loop", "root/loop");
    link_to(f, "../outside", "root/linked");
    link_to(f, "folder", "root/folderlink");
    make_special_files(f);
}

static UNUSED_OK mode_t
mode_of(const struct fixture *f, const char *name)
{
    struct stat st;

    assert_int_equal(lstat(scratch_path(&f->scratch, name), &st), 0);
    return st.st_mode & 07777;
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
