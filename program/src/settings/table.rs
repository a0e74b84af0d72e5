//! The table of a program's settings, from which flags, keys, variables and help texts are made.
//!
//! * Data only: a program declares one `static` of type [`Settings`].

/// All settings of a program.
#[derive(Debug)]
pub struct Settings {
    /// What every variable of the program begins with, such as `REFLECTOR_`.
    pub prefix: &'static str,
    /// Longer prefixes that belong to other programs.
    pub siblings: &'static [&'static str],
    /// Every setting, in the order of the help text.
    pub all: &'static [Setting],
    /// Tables of the file that have no flag.
    pub numbered: Option<Numbered>,
}

impl Settings {
    /// The setting of this key.
    pub fn find(&self, key: &str) -> Option<&'static Setting> {
        self.all.iter().find(|setting| setting.key == key)
    }

    /// The environment variable of a key, such as `REFLECTOR_DENY_SOURCE`.
    pub fn variable(&self, key: &str) -> String {
        format!("{}{}", self.prefix, key.to_uppercase().replace('-', "_"))
    }

    /// The variable that names the configuration file.
    pub fn config_variable(&self) -> String {
        self.variable("config")
    }

    /// The settings that a command takes.
    pub fn of(&self, command: &str) -> impl Iterator<Item = &'static Setting> {
        self.all.iter().filter(move |setting| setting.is_of(command))
    }

    /// Those of `names` that look like variables of this program but are not.
    pub fn unknown_variables(&self, names: impl Iterator<Item = String>) -> Vec<String> {
        let known = |name: &String| {
            *name == self.config_variable()
                || self.siblings.iter().any(|prefix| name.starts_with(prefix))
                || self.all.iter().any(|setting| self.variable(setting.key) == *name)
        };
        names.filter(|name| name.starts_with(self.prefix) && !known(name)).collect()
    }
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Flag without its dashes, and key in the file.
    pub key: &'static str,
    /// What stands for the value in help texts; `on|off` makes the flag a switch.
    pub value_name: &'static str,
    /// Taken if no flag, variable or file says otherwise; shown in help texts.
    pub default: Option<&'static str>,
    /// May be given more than once; in a variable, separated by commas; in the file, a list.
    pub many: bool,
    /// Follows a SIGHUP; otherwise a change needs a restart.
    pub reloads: bool,
    /// Commands besides `run` that take it.
    pub also: &'static [&'static str],
    /// One paragraph: what it does, in which unit.
    pub help: &'static str,
}

impl Setting {
    /// A setting of `run` without a default, which is given once and needs a restart.
    pub const fn new(key: &'static str, value_name: &'static str, help: &'static str) -> Self {
        Self { key, value_name, default: None, many: false, reloads: false, also: &[], help }
    }

    /// Whether `command` takes it.
    pub fn is_of(&self, command: &str) -> bool {
        command == "run" || self.also.contains(&command)
    }
}

/// Tables of the file such as `[class.1]`, each of which holds one field.
#[derive(Clone, Copy, Debug)]
pub struct Numbered {
    /// What a table is called before its number.
    pub name: &'static str,
    /// Numbers are below this.
    pub below: u8,
    /// The only key of each table.
    pub field: &'static str,
    /// A value that would be right.
    pub example: &'static str,
}
