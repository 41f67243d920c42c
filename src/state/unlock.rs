//! The password of encrypted archives: asked for beside what is open, tried, and kept only while the archives are open.

use super::*;
use crate::findings::describe::counted;
use crate::study::LockedArchive;
use crate::study::password::Password;

/// What is asked.
#[derive(Debug)]
pub struct Unlock {
    pub archives: Vec<LockedArchive>,
    /// As far as it has been written.
    pub typed: Password,
    /// The one tried last opens none of them.
    pub wrong: bool,
    /// One is being tried.
    pub trying: bool,
    /// Tells one question from the next.
    pub asked: RequestId,
    request: RequestId,
    /// All that is opened together with them.
    paths: Vec<PathBuf>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnlockCommand {
    Type(Password),
    Try,
    /// The encrypted files stay closed.
    LeaveOut,
}

impl AppState {
    /// Opens what was named when the program started with its password.
    pub fn start_with_password(&mut self, password: &Password, paths: &[PathBuf]) {
        paths.iter().for_each(|path| self.passwords.set(path.clone(), password.clone()));
    }

    pub(super) fn apply_unlock(&mut self, command: UnlockCommand, effects: &mut Vec<Effect>) {
        let Some(unlock) = &mut self.unlock else { return };
        match command {
            UnlockCommand::Type(typed) => unlock.typed = typed,
            UnlockCommand::Try if unlock.typed.is_empty() || unlock.trying => {}
            UnlockCommand::Try => {
                let archives = unlock.archives.iter().map(|archive| archive.path.clone()).collect();
                let password = unlock.typed.clone();
                (unlock.trying, unlock.wrong) = (true, false);
                let request = self.next_request();
                if let Some(unlock) = &mut self.unlock {
                    unlock.request = request;
                }
                effects.push(Effect::TryPassword { request, archives, password });
            }
            UnlockCommand::LeaveOut => self.leave_locked(),
        }
    }

    /// Asks for the password of the archives that ask for one. True where there are some.
    pub(super) fn ask_for_password(&mut self, catalog: &Catalog, paths: &[PathBuf]) -> bool {
        if catalog.locked.is_empty() {
            self.unlock = None;
            return false;
        }
        let asked = self.next_request();
        self.unlock = Some(Unlock {
            archives: catalog.locked.clone(),
            typed: Password::default(),
            wrong: catalog.locked.iter().any(|archive| archive.tried),
            trying: false,
            asked,
            request: asked,
            paths: paths.to_vec(),
        });
        true
    }

    /// Files of archives whose password is being asked for are not told: they may open yet.
    pub(super) fn awaits_password(&self, refused: &Refused) -> bool {
        let within = |archive: &LockedArchive| {
            refused.file.strip_prefix(archive.name.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        refused.kind == Kind::Encrypted && self.unlock.as_ref().is_some_and(|u| u.archives.iter().any(within))
    }

    /// `opened` are the archives that the password opens.
    pub(super) fn password_tried(
        &mut self,
        request: RequestId,
        password: &Password,
        opened: Result<Vec<PathBuf>, Ended>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(unlock) = self.unlock.as_mut().filter(|unlock| unlock.request == request) else { return };
        unlock.trying = false;
        match opened {
            Ok(opened) if opened.is_empty() => unlock.wrong = true,
            Ok(opened) => {
                let paths = unlock.paths.clone();
                opened.into_iter().for_each(|path| self.passwords.set(path, password.clone()));
                self.unlock = None;
                self.open_paths(paths, effects);
            }
            Err(Ended::Cancelled) => {}
            Err(Ended::Failed(text) | Ended::Stopped(text)) => self.notice(Severity::Error, text),
        }
    }

    /// The question is given up.
    pub(super) fn leave_locked(&mut self) {
        let Some(unlock) = self.unlock.take() else { return };
        self.forget_passwords();
        for archive in unlock.archives {
            let text = format!(
                "{}: {} left out. Open the archive again to be asked for its password.",
                archive.name,
                match archive.files {
                    1 => "one encrypted file was".to_owned(),
                    n => format!("{} were", counted(n, "encrypted file")),
                }
            );
            self.notice_naming(Severity::Warning, text, vec![archive.name]);
        }
    }

    /// Keeps the passwords of what is open or about to be, and no others.
    pub(super) fn forget_passwords(&mut self) {
        let open = self.study.iter().flat_map(|study| &study.paths);
        let asked = self.unlock.iter().flat_map(|unlock| &unlock.paths);
        let awaited = self.scanning.iter().flatten();
        let kept: Vec<PathBuf> = open.chain(asked).chain(awaited).cloned().collect();
        self.passwords.keep_only(&kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "atlas & axis";

    fn refused(file: &str) -> Refused {
        Refused { file: file.into(), kind: Kind::Encrypted, text: format!("{file}: it is encrypted.") }
    }

    /// Everything in `/a.zip` is encrypted.
    fn locked(tried: bool) -> Catalog {
        let archive = LockedArchive { path: "/a.zip".into(), name: "a.zip".into(), files: 2, tried };
        let refused = vec![refused("a.zip/1"), refused("a.zip/2")];
        Catalog { refused, locked: vec![archive], ..Catalog::default() }
    }

    fn scan(effects: &[Effect]) -> (RequestId, Vec<PathBuf>, Passwords) {
        let scan = effects.iter().find_map(|e| match e {
            Effect::Scan { request, paths, passwords } => Some((*request, paths.clone(), passwords.clone())),
            _ => None,
        });
        scan.expect("a scan")
    }

    fn asked() -> AppState {
        let mut state = AppState::new(Settings::default());
        let (request, ..) = scan(&state.apply(Command::OpenPath("/a.zip".into())));
        state.receive(Event::Scanned { request, result: Ok(Arc::new(locked(false))) });
        state
    }

    fn tried(state: &mut AppState) -> RequestId {
        state.apply(Command::Unlock(UnlockCommand::Type(Password::new(TEXT.into()))));
        let effects = state.apply(Command::Unlock(UnlockCommand::Try));
        let [Effect::TryPassword { request, archives, .. }] = effects.as_slice() else { panic!("{effects:?}") };
        assert_eq!(archives, &[PathBuf::from("/a.zip")]);
        assert!(!format!("{effects:?} {state:?}").contains(TEXT), "a password was written out");
        *request
    }

    fn answer(state: &mut AppState, request: RequestId, opened: Vec<PathBuf>) -> Vec<Effect> {
        state.receive(Event::PasswordTried { request, password: Password::new(TEXT.into()), opened: Ok(opened) })
    }

    #[test]
    fn the_question_comes_instead_of_the_refusals_and_a_wrong_password_loses_nothing() {
        let mut state = asked();
        assert!(state.notices.is_empty(), "{:?}", state.notices);
        assert!(state.apply(Command::Unlock(UnlockCommand::Try)).is_empty(), "nothing was written yet");
        let request = tried(&mut state);
        assert!(state.apply(Command::Unlock(UnlockCommand::Try)).is_empty(), "one at a time");
        answer(&mut state, request, Vec::new());
        let unlock = state.unlock.as_ref().expect("still asked");
        assert!(unlock.wrong && !unlock.trying && unlock.typed.text() == TEXT);
        assert!(answer(&mut state, request, Vec::new()).is_empty() && state.settings.recents.is_empty());
    }

    #[test]
    fn the_right_one_opens_all_again_and_is_forgotten_with_the_archive() {
        let mut state = asked();
        let request = tried(&mut state);
        let (request, paths, passwords) = scan(&answer(&mut state, request, vec!["/a.zip".into()]));
        assert_eq!(paths, [PathBuf::from("/a.zip")]);
        assert_eq!(passwords.of(&paths[0]).map(Password::text), Some(TEXT));
        assert!(state.unlock.is_none());
        let series = crate::state::tests::series(3);
        let catalog = Catalog { series: vec![series], ..Catalog::default() };
        state.receive(Event::Scanned { request, result: Ok(Arc::new(catalog)) });
        assert!(state.study.is_some() && !state.passwords.is_empty());
        // What joins it is read with it.
        let (_, paths, passwords) = scan(&state.apply(Command::AddPaths(vec!["/b".into()])));
        assert!(paths.len() == 2 && passwords.of(&paths[0]).is_some());
        assert!(!serde_json::to_string(&state.settings).expect("json").contains(TEXT));
        state.scanning = None;
        state.apply(Command::CloseStudy);
        assert!(state.passwords.is_empty());
    }

    #[test]
    fn leaving_out_says_so_and_keeps_what_is_open() {
        for give_up in [Command::Escape, Command::Unlock(UnlockCommand::LeaveOut)] {
            let mut state = asked();
            state.apply(give_up);
            assert!(state.unlock.is_none());
            let texts: Vec<&str> = state.notices.iter().map(|n| n.text.as_str()).collect();
            let left = "a.zip: 2 encrypted files were left out. Open the archive again to be asked for its password.";
            assert_eq!(texts, [left]);
            assert_eq!(state.notices[0].shown(true), left.replace("a.zip", "[hidden]"));
        }
    }

    #[test]
    fn what_opens_beside_the_locked_files_opens_and_the_question_stays() {
        let mut state = AppState::new(Settings::default());
        state.start_with_password(&Password::new("other".into()), &["/a.zip".into()]);
        let (request, _, passwords) = scan(&state.apply(Command::OpenPath("/a.zip".into())));
        assert!(passwords.of(std::path::Path::new("/a.zip")).is_some());
        let catalog = Catalog { series: vec![crate::state::tests::series(3)], ..locked(true) };
        state.receive(Event::Scanned { request, result: Ok(Arc::new(catalog)) });
        assert!(state.active.is_some() && state.unlock.as_ref().is_some_and(|unlock| unlock.wrong));
        let (request, ..) = scan(&state.apply(Command::OpenPath("/b".into())));
        let catalog = Catalog { series: vec![crate::state::tests::series(3)], ..Catalog::default() };
        state.receive(Event::Scanned { request, result: Ok(Arc::new(catalog)) });
        assert!(state.unlock.is_none() && state.passwords.is_empty(), "another study is open");
    }
}
