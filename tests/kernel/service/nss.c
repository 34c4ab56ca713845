/* A directory of users for one service under test: an NSS module (nss(5)) over files in FOLDER.
 *
 * users: a line "NAME UID" each. delay_ms: how long an answer takes. down: if it is there, the directory does not answer; gone:
 * if it is there, so is nothing at the socket of its server.
 */
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void wait_for_the_server(void)
{
	long ms = 0;
	FILE *file = fopen(FOLDER "/delay_ms", "re");

	if (file) {
		if (fscanf(file, "%ld", &ms) != 1)
			ms = 0;
		fclose(file);
	}
	struct timespec delay = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	while (nanosleep(&delay, &delay) && errno == EINTR)
		;
}

/* By name, or by number where there is no name. */
static enum nss_status find(const char *name, uid_t uid, struct passwd *user, char *buffer, size_t length, int *error)
{
	enum nss_status status = NSS_STATUS_NOTFOUND;
	char found[64];
	unsigned int number;

	wait_for_the_server();
	if (!access(FOLDER "/down", F_OK)) {
		*error = ETIMEDOUT;
		return NSS_STATUS_UNAVAIL;
	}
	if (!access(FOLDER "/gone", F_OK)) {
		*error = ENOENT;
		return NSS_STATUS_UNAVAIL;
	}
	FILE *file = fopen(FOLDER "/users", "re");
	if (!file) {
		*error = EIO;
		return NSS_STATUS_UNAVAIL;
	}
	while (status == NSS_STATUS_NOTFOUND && fscanf(file, "%63s %u", found, &number) == 2) {
		if (name ? strcmp(name, found) : uid != number)
			continue;
		if (strlen(found) + 2 > length) {
			*error = ERANGE;
			status = NSS_STATUS_TRYAGAIN;
			break;
		}
		strcpy(buffer, found);
		user->pw_name = buffer;
		user->pw_passwd = user->pw_gecos = user->pw_dir = user->pw_shell = buffer + strlen(buffer);
		user->pw_uid = user->pw_gid = number;
		status = NSS_STATUS_SUCCESS;
	}
	fclose(file);
	return status;
}

enum nss_status _nss_trafcalc_getpwnam_r(const char *name, struct passwd *user, char *buffer, size_t length, int *error)
{
	return find(name, 0, user, buffer, length, error);
}

enum nss_status _nss_trafcalc_getpwuid_r(uid_t uid, struct passwd *user, char *buffer, size_t length, int *error)
{
	return find(NULL, uid, user, buffer, length, error);
}
